"""A user's SQL on the published snapshot: read-only, without access to other files."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from warehouse.errors import QueryFailed, SnapshotUnreadable
from warehouse.outputs.escaping import escape_for_terminal
from warehouse.snapshot.database import open_snapshot
from warehouse.snapshot.pointer import fetch_snapshot
from warehouse.storage.paths import DataFolder

_ROWS_AT_A_TIME = 10_000


@dataclass(frozen=True)
class QueryResult:
    """The column names of a result, and its rows, which can be iterated once."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


def run_query(folder: DataFolder, sql: str, *, time_zone: str = "UTC") -> QueryResult:
    """Run one SQL statement on the snapshot, in a session with this IANA time zone; instants have its offset.

    Raises:
        NothingPublished: There is no snapshot.
        SnapshotUnreadable: The snapshot is damaged.
        QueryFailed: DuckDB rejected the statement, or it is not exactly one, changes something, or reads a file.

    """
    path = fetch_snapshot(folder)
    with _query_errors(), ExitStack() as stack:
        connection = stack.enter_context(_open(path, time_zone))
        # A query must not turn on access to other files.
        connection.execute("SET lock_configuration = true")
        statements = connection.extract_statements(sql)
        if len(statements) != 1:
            raise QueryFailed(f"expected one statement, not {len(statements)}")
        result = connection.execute(statements[0])
        columns = tuple(str(column[0]) for column in result.description or ())
        opened = stack.pop_all()
    return QueryResult(columns, _read_rows(result, opened))


@contextmanager
def _open(path: Path, time_zone: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the snapshot as `open_snapshot` does; raises `SnapshotUnreadable` only if it cannot be opened."""
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(open_snapshot(path, time_zone=time_zone))
        except duckdb.Error as error:
            raise SnapshotUnreadable(str(path), type(error).__name__) from error
        yield connection


def _read_rows(result: duckdb.DuckDBPyConnection, opened: ExitStack) -> Iterator[tuple[Any, ...]]:
    with _query_errors(), opened:
        while rows := result.fetchmany(_ROWS_AT_A_TIME):
            yield from rows


@contextmanager
def _query_errors() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        # After an empty line, DuckDB repeats the statement.
        raise QueryFailed(escape_for_terminal(" ".join(str(error).partition("\n\n")[0].split()))) from error
    except OverflowError as error:
        raise QueryFailed("a time is before the year 1 or after the year 9999 in the session's time zone") from error
