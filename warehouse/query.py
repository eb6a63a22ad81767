"""A user's own SQL on the published snapshot: everything can be read, nothing changed, no other file reached.

Belongs here: opening the snapshot safely and running one statement. Does not belong here: how rows are shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb

from warehouse.errors import NothingPublished, QueryFailed
from warehouse.layout import DataFolder

_ROWS_AT_A_TIME = 10_000
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
}


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
    if not folder.snapshot.is_file():
        raise NothingPublished(folder.snapshot)
    with _saying_why():
        connection = duckdb.connect(str(folder.snapshot), read_only=True, config=_SETTINGS)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET lock_configuration = true")
        statements = connection.extract_statements(sql)
        if len(statements) != 1:
            raise QueryFailed(f"one statement at a time, not {len(statements)}")
        result = connection.execute(statements[0])
        columns = tuple(str(column[0]) for column in result.description or ())
    return QueryResult(columns, _read_rows(result))


def _read_rows(result: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    with _saying_why():
        while rows := result.fetchmany(_ROWS_AT_A_TIME):
            yield from rows


@contextmanager
def _saying_why() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise QueryFailed(str(error)) from error
