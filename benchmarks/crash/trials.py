"""Kills of commands, and comparisons of the final tables."""

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

_MAX_KILLS_IN_A_ROW = 5
#: Columns that differ between runs.
_VARYING_COLUMNS = "('first_seen_at', 'last_seen_at', 'fetched_at', 'attempts')"
_TABLES = ("usage", "recordings", "contents", "recording_files", "marts.daily_totals", "marts.recording_matches")


@dataclass
class Tally:
    """Result of a case: kills, kills before the command had finished, distinct states of the files, and errors."""

    kills: int = 0
    killed_while_running: int = 0
    states: set[tuple[int, ...]] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class UninterruptedRun:
    """Result, duration and number of file operations of a run that was not killed."""

    published: dict[str, Any]
    seconds: float
    operations: int

    def choose_moment(self, number: int, rng: random.Random) -> Moment:
        """Choose a random moment for a kill."""
        if number % 2:
            return Moment(operation=rng.randint(1, self.operations))
        return Moment(seconds=rng.uniform(0, self.seconds))


def prepare(url: str, folder: Path) -> Account:
    """Create the synced folder that is copied for each case."""
    folder.mkdir()
    account = Account(url, folder / "data")
    Run(sync_all, account).finish()
    return account


def run_case(case: Case, synced: Account, folder: Path, *, kills: int, rng: random.Random) -> Tally:
    """Kill the case's command `kills` times, starting from new files every few kills, and compare the final tables."""
    tally = Tally()
    folder.mkdir()
    template = _copy(synced, folder / "template")
    Run(case.prepare, template).finish()
    uninterrupted = _run_uninterrupted(case, _copy(template, folder / "uninterrupted"))
    tally.errors += uninterrupted.published["differences"]
    while tally.kills < kills:
        victim = _copy(template, folder / str(tally.kills))
        for _ in range(min(rng.randint(1, _MAX_KILLS_IN_A_ROW), kills - tally.kills)):
            killed = Run(case.run, victim, uninterrupted.choose_moment(tally.kills, rng)).kill()
            tally.kills += 1
            tally.killed_while_running += killed
            tally.states.add(_count_files(victim))
            if not killed:
                break
        differing = _compare(case, victim, uninterrupted.published)
        tally.errors += [f"after kill {tally.kills}: {error}" for error in differing]
        shutil.rmtree(victim.path.parent)
    return tally


def _run_uninterrupted(case: Case, account: Account) -> UninterruptedRun:
    began = time.monotonic()
    _, operations = Run(case.run, account).finish()
    seconds = time.monotonic() - began
    return UninterruptedRun(Run(describe, account).finish()[0], seconds, operations)


def _compare(case: Case, victim: Account, expected: dict[str, Any]) -> list[str]:
    """Run the killed command to its end, and return the tables whose content differs."""
    try:
        Run(case.run, victim).finish()
        found, _ = Run(describe, victim).finish()
    except RuntimeError as error:
        return [str(error)]
    differing = [name for name in _TABLES if found["tables"][name] != expected["tables"][name]]
    return [*found["differences"], *(f"{name} differs" for name in differing)]


def describe(account: Account) -> dict[str, Any]:
    """Return the published tables without varying columns, and the differences found by verification."""
    folder = open_folder(account.settings)
    tables = {
        name: repr(
            list(
                run_query(
                    folder, f"SELECT COLUMNS(lambda c: c NOT IN {_VARYING_COLUMNS}) FROM {name} ORDER BY ALL"
                ).rows
            )
        )
        for name in _TABLES
    }
    verification = Verification(folder=folder, settings=build_mart_settings([account.settings]))
    return {"tables": tables, "differences": [str(difference) for difference in verification.find_mismatches()]}


def _copy(template: Account, folder: Path) -> Account:
    folder.mkdir()
    shutil.copytree(template.path, folder / "data")
    return Account(template.url, folder / "data")


def _count_files(account: Account) -> tuple[int, ...]:
    """Return the state of a killed run: files per layer, temporary files, and the snapshot's modification time."""
    snapshot = account.path / "warehouse.duckdb"
    layers = [sum(1 for _ in (account.path / layer).rglob("*.*")) for layer in ("raw", "lake", "media")]
    temporary = sum(1 for _ in account.path.rglob(".tmp-*"))
    return (*layers, temporary, snapshot.stat().st_mtime_ns if snapshot.exists() else 0)
