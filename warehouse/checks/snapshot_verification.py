"""Verification of a snapshot: every table, view and mart against a snapshot built again from the lake."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from warehouse.schema.marts import MARTS
from warehouse.schema.tables import PEOPLE_TABLES, PUBLICATION_TABLES, PUBLISHED_TABLES, Table
from warehouse.snapshot.database import attach_published, read_select
from warehouse.snapshot.marts import MartSettings
from warehouse.snapshot.publish import build_snapshot
from warehouse.sql import read_sql
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow

_REBUILT = "rebuilt.duckdb"


def find_snapshot_mismatches(folder: DataFolder, settings: MartSettings, scratch: Path) -> Iterator[str]:
    """Yield the differences between the published snapshot and one that is built again in `scratch`.

    Raises `StorageFailed` and `duckdb.Error`.
    """
    rebuilt = scratch / _REBUILT
    build_snapshot(folder, settings, rebuilt)
    with _open_both(folder.snapshot, rebuilt) as connection:
        yield from _compare_catalogs(connection)
        for table in PUBLISHED_TABLES:
            yield from _compare_table(connection, table)
        for table in (*PEOPLE_TABLES, *PUBLICATION_TABLES):
            yield from _compare_whole(connection, table.name, "*")
        for mart in MARTS:
            # The last digits of averages depend on the order of rows.
            names = [f'round("{c.name}", 6)' if c.type == "DOUBLE" else f'"{c.name}"' for c in mart.columns]
            yield from _compare_whole(connection, f"marts.{mart.name}", ", ".join(names))


def count_differing_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, account: str, window: StorageWindow, *, files: Sequence[Path]
) -> int:
    """Count a window's rows that are only in the published table or only in the files."""
    select = (
        f"WITH made AS ({read_select(table)}), "
        f"held AS (SELECT * FROM {table.name} WHERE account = $account AND window_start = $day) "
        "SELECT count(*) FROM "
        "((FROM made EXCEPT ALL FROM held) UNION ALL (FROM held EXCEPT ALL FROM made))"
    )
    values = {"files": [str(path) for path in files], "account": account, "day": window.first_day}
    return int(connection.execute(select, values).fetchall()[0][0])


@contextmanager
def _open_both(published: Path, rebuilt: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open both files read-only; other files and the network are out of reach."""
    with duckdb.connect(config={"temp_directory": f"{rebuilt}.tmp", "autoinstall_known_extensions": "false"}) as both:
        for name, path in (("published", published), ("rebuilt", rebuilt)):
            attach_published(both, path, name)
        both.execute("SET TimeZone = 'UTC'")
        both.execute("SET enable_progress_bar = false")
        both.execute("SET enable_external_access = false")
        both.execute("SET python_enable_replacements = false")
        yield both


def _compare_catalogs(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Yield tables, views and macros that only one of both has, or whose definition differs."""
    for name, kind, is_published, is_expected in connection.execute(read_sql("checks", "catalogs_agree")).fetchall():
        if not is_expected:
            yield f"{kind} {name} was added by another program"
        elif not is_published:
            yield f"{kind} {name} is missing or was changed"


def _compare_table(connection: duckdb.DuckDBPyConnection, table: Table) -> Iterator[str]:
    select = (
        "SELECT account, window_start, count(*) FROM ("
        f"(FROM published.{table.name} EXCEPT ALL FROM rebuilt.{table.name}) UNION ALL "
        f"(FROM rebuilt.{table.name} EXCEPT ALL FROM published.{table.name})) GROUP BY ALL ORDER BY ALL"
    )
    for account, window, rows in connection.execute(select).fetchall():
        yield f"{rows:,} rows of {table.name} {account} {window} differ from the lake"


def _compare_whole(connection: duckdb.DuckDBPyConnection, name: str, columns: str) -> Iterator[str]:
    ours, expected = (f"SELECT {columns} FROM {database}.{name}" for database in ("published", "rebuilt"))
    select = f"SELECT count(*) FROM (({ours} EXCEPT ALL {expected}) UNION ALL ({expected} EXCEPT ALL {ours}))"
    (rows,) = connection.execute(select).fetchall()[0]
    if rows:
        yield f"{rows:,} rows of {name} differ from the tables they are computed from"
