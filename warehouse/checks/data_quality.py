"""Data-quality checks: SELECTs over the snapshot, and counters kept in the lake files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files as package_files

import duckdb

from warehouse.lake.due_windows import read_states
from warehouse.lake.files import WindowState
from warehouse.schema.tables import Table
from warehouse.snapshot.database import open_snapshot
from warehouse.snapshot.pointer import fetch_snapshot
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of


@dataclass(frozen=True)
class CheckResult:
    """So many rows of one account's window that are odd in some way."""

    account: str
    window: StorageWindow
    rows: int


def find_by_select(folder: DataFolder, name: str, table: Table) -> list[CheckResult]:
    """Run the SELECT `sql/checks/<name>.sql` on the snapshot; its findings in one table.

    Raises `NothingPublished`.
    """
    snapshot = fetch_snapshot(folder)
    select = (package_files("warehouse") / "sql" / "checks" / f"{name}.sql").read_text()
    with open_snapshot(snapshot) as connection:
        # Asked of one table, DuckDB leaves out the others that a SELECT unites.
        asked = duckdb.ColumnExpression("table_name") == duckdb.ConstantExpression(table.name)
        rows = connection.sql(select).filter(asked).fetchall()
    return [CheckResult(account, window_of(day), int(count)) for _, account, day, count in sorted(rows)]


def find_unread(folder: DataFolder, table: Table) -> list[CheckResult]:
    """List the windows with elements that couldn't be read, or rows with a field that couldn't."""
    return [
        CheckResult(account, window, state.unreadable + state.unread)
        for account, window, state in _read_states(folder, table)
        if state.unreadable + state.unread
    ]


def find_refused(folder: DataFolder, table: Table) -> list[CheckResult]:
    """List the accounts that iPlum last refused this dataset, each with the window that was asked for."""
    refused: dict[str, CheckResult] = {}
    for account, states in _by_account(_read_states(folder, table)).items():
        asked = {window: state for window, state in states.items() if state.refused_at}
        complete = max((s.complete_at for s in states.values() if s.complete_at), default=None)
        latest = max((s.refused_at for s in asked.values() if s.refused_at), default=None)
        if latest is not None and (complete is None or latest > complete):
            refused[account] = CheckResult(account, max(asked), 0)
    return list(refused.values())


def _by_account(
    states: Iterable[tuple[str, StorageWindow, WindowState]],
) -> dict[str, dict[StorageWindow, WindowState]]:
    by_account: dict[str, dict[StorageWindow, WindowState]] = {}
    for account, window, state in states:
        by_account.setdefault(account, {})[window] = state
    return by_account


def _read_states(folder: DataFolder, table: Table) -> Iterator[tuple[str, StorageWindow, WindowState]]:
    seen = folder.with_cached_listings()
    for account in seen.accounts():
        for window, state in read_states(seen, table, account, seen.lake_windows(table.name, account)).items():
            yield account, window, state
