"""Kills, and what is there after them."""

import random
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.crash.cases import Account, Case, sync_all
from benchmarks.crash.victims import Moment, Run
from pipelines.warehouse_folder import build_mart_settings, open_folder
from warehouse.checks.verification import Verification
from warehouse.outputs.query import run_query

_IN_A_ROW = 5
#: Columns with the time of the work, which differ between runs.
_TIMES = "('first_seen_at', 'last_seen_at', 'fetched_at', 'attempts')"
_TABLES = ("usage", "recordings", "contents", "recording_files", "marts.daily_totals", "marts.recording_matches")


@dataclass
class Tally:
    """Result of a case: kills, kills before the end, distinct states of the files, and failures."""

    kills: int = 0
    in_time: int = 0
    states: set[tuple[int, ...]] = field(default_factory=set)
    traces: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Undisturbed:
    """Result, duration and number of file operations of an undisturbed run."""

    published: dict[str, Any]
    seconds: float
    operations: int

    def choose_moment(self, number: int, chance: random.Random) -> Moment:
        """Choose when a run dies."""
        if number % 2:
            return Moment(operation=chance.randint(1, self.operations))
        return Moment(seconds=chance.uniform(0, self.seconds))


def prepare(url: str, folder: Path) -> Account:
    """Make the synced folder that is copied for each case."""
    folder.mkdir()
    account = Account(url, folder / "data")
    Run(sync_all, account).finish()
    return account


def play(case: Case, synced: Account, folder: Path, *, kills: int, chance: random.Random) -> Tally:
    """Kill the case's command `kills` times, starting from new files every few kills, and compare the final tables."""
    tally = Tally()
    folder.mkdir()
    template = _copy(synced, folder / "template")
    Run(case.begin, template).finish()
    alone = _leave_alone(case, _copy(template, folder / "alone"))
    tally.traces += alone.published["differences"]
    while tally.kills < kills:
        victim = _copy(template, folder / str(tally.kills))
        for _ in range(min(chance.randint(1, _IN_A_ROW), kills - tally.kills)):
            died = Run(case.run, victim, alone.choose_moment(tally.kills, chance)).die()
            tally.kills += 1
            tally.in_time += died
            tally.states.add(_look(victim))
            if not died:
                break
        tally.traces += [f"after kill {tally.kills}: {trace}" for trace in _compare(case, victim, alone.published)]
        shutil.rmtree(victim.path.parent)
    return tally


def _leave_alone(case: Case, account: Account) -> Undisturbed:
    began = time.monotonic()
    _, operations = Run(case.run, account).finish()
    seconds = time.monotonic() - began
    return Undisturbed(Run(describe, account).finish()[0], seconds, operations)


def _compare(case: Case, victim: Account, expected: dict[str, Any]) -> list[str]:
    """Finish the work of killed commands, and return the tables with wrong content."""
    try:
        Run(case.run, victim).finish()
        found, _ = Run(describe, victim).finish()
    except RuntimeError as error:
        return [str(error)]
    differing = [name for name in _TABLES if found["tables"][name] != expected["tables"][name]]
    return [*found["differences"], *(f"{name} differs" for name in differing)]


def describe(account: Account) -> dict[str, Any]:
    """Return the published content without timestamps, and the result of verification."""
    folder = open_folder(account.settings)
    tables = {
        name: repr(
            list(run_query(folder, f"SELECT COLUMNS(lambda c: c NOT IN {_TIMES}) FROM {name} ORDER BY ALL").rows)
        )
        for name in _TABLES
    }
    proof = Verification(folder=folder, settings=build_mart_settings([account.settings]))
    return {"tables": tables, "differences": [str(difference) for difference in proof.find_mismatches()]}


def _copy(template: Account, folder: Path) -> Account:
    folder.mkdir()
    shutil.copytree(template.path, folder / "data")
    return Account(template.url, folder / "data")


def _look(account: Account) -> tuple[int, ...]:
    """Count what a killed run had done: files of each layer, half-written ones, and the snapshot's time."""
    snapshot = account.path / "warehouse.duckdb"
    layers = [sum(1 for _ in (account.path / layer).rglob("*.*")) for layer in ("raw", "lake", "media")]
    half = sum(1 for _ in account.path.rglob(".tmp-*"))
    return (*layers, half, snapshot.stat().st_mtime_ns if snapshot.exists() else 0)
