"""Data-quality checks: SELECTs over the snapshot, and counters in the lake files."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import duckdb

from warehouse.lake.due_windows import is_refused, read_states
from warehouse.lake.files import WindowState
from warehouse.schema.tables import Table
from warehouse.snapshot.database import read_snapshot
from warehouse.snapshot.pointer import fetch_snapshot
from warehouse.sql import read_sql
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of


@dataclass(frozen=True)
class CheckResult:
    """The number of failing rows in one account's window."""

    account: str
    window: StorageWindow
    rows: int


def find_by_select(folder: DataFolder, name: str, table: Table) -> list[CheckResult]:
    """Return the failing rows in one table by the SELECT `sql/checks/<name>.sql`; raises `NothingPublished`."""
    snapshot = fetch_snapshot(folder)
    select = read_sql("checks", name)
    with read_snapshot(snapshot) as connection:
        # With this filter, DuckDB skips the other tables of the SELECT's union.
        requested = duckdb.ColumnExpression("table_name") == duckdb.ConstantExpression(table.name)
        rows = connection.sql(select).filter(requested).fetchall()
    return [CheckResult(account, window_of(day), int(count)) for _, account, day, count in sorted(rows)]


def find_by_state(folder: DataFolder, table: Table, count: Callable[[WindowState], int]) -> list[CheckResult]:
    """Return the windows of one table whose lake file counts failing rows."""
    counted = ((account, window, count(state)) for account, window, state in read_all_states(folder, table))
    return [CheckResult(account, window, rows) for account, window, rows in counted if rows]


def find_refused(folder: DataFolder, table: Table) -> list[CheckResult]:
    """List the accounts that iPlum last refused a dataset (HTTP 403), each with the requested window."""
    refused: dict[str, CheckResult] = {}
    for account, states in _by_account(read_all_states(folder, table)).items():
        if is_refused(states.values()):
            refused[account] = CheckResult(account, max(w for w, state in states.items() if state.refused_at), 0)
    return list(refused.values())


def _by_account(
    states: Iterable[tuple[str, StorageWindow, WindowState]],
) -> dict[str, dict[StorageWindow, WindowState]]:
    by_account: dict[str, dict[StorageWindow, WindowState]] = {}
    for account, window, state in states:
        by_account.setdefault(account, {})[window] = state
    return by_account


def read_all_states(folder: DataFolder, table: Table) -> Iterator[tuple[str, StorageWindow, WindowState]]:
    """Yield the state of each lake file of a table, with its account and window."""
    seen = folder.with_cached_listings()
    for account in seen.accounts():
        for window, state in read_states(seen, table, account, seen.lake_windows(table.name, account)).items():
            yield account, window, state
