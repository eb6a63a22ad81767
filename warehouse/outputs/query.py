"""A user's own SQL on the published snapshot: everything can be read, nothing changed, no other file reached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb

from warehouse.errors import QueryFailed
from warehouse.snapshot.database import open_snapshot
from warehouse.snapshot.pointer import fetch_snapshot
from warehouse.storage.paths import DataFolder

_ROWS_AT_A_TIME = 10_000
# The last of them keeps a query from taking the others back.
_LOCKS = (
    "SET enable_external_access = false",
    "SET python_enable_replacements = false",
    "SET lock_configuration = true",
)


@dataclass(frozen=True)
class QueryResult:
    """The names of a result's columns, and its rows, which are read as they are asked for, once."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


def run_query(folder: DataFolder, sql: str) -> QueryResult:
    """Run one SQL statement on the snapshot as it is now; instants come in UTC.

    Raises `NothingPublished` where there is no snapshot, and `QueryFailed` with DuckDB's words for SQL that it
    refuses: what isn't one statement, changes something, or reaches for a file.
    """
    path = fetch_snapshot(folder)
    with _saying_why(), ExitStack() as stack:
        connection = stack.enter_context(open_snapshot(path))
        for lock in _LOCKS:
            connection.execute(lock)
        statements = connection.extract_statements(sql)
        if len(statements) != 1:
            raise QueryFailed(f"one statement at a time, not {len(statements)}")
        result = connection.execute(statements[0])
        columns = tuple(str(column[0]) for column in result.description or ())
        opened = stack.pop_all()
    return QueryResult(columns, _read_rows(result, opened))


def _read_rows(result: duckdb.DuckDBPyConnection, opened: ExitStack) -> Iterator[tuple[Any, ...]]:
    with _saying_why(), opened:
        while rows := result.fetchmany(_ROWS_AT_A_TIME):
            yield from rows


@contextmanager
def _saying_why() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        # After an empty line DuckDB shows the statement, which the user has before them.
        raise QueryFailed(" ".join(str(error).partition("\n\n")[0].split())) from error
