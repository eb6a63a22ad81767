"""The published database file from the inside: its tables, and the notes it keeps on what they stand for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files as package_files
from pathlib import Path

import duckdb

from warehouse.schema.duckdb_types import format_duckdb_type
from warehouse.schema.marts import MARTS
from warehouse.schema.tables import PUBLISHED_TABLES, VIEWS, Table
from warehouse.snapshot.marts import MartSettings, build_marts, describe_marts
from warehouse.windows import StorageWindow, window_of_key

# What 1.2 and later, BI drivers among them, can read; 2.0's own format can't be opened by 1.x (DESIGN 5).
_STORAGE_VERSION = "v1.2.0"
_FORMAT = 1
_FILES_PER_READ = 2000
# What DuckDB needs at least, so that memory grows little with the history, for some seconds that go into spilling.
# Beyond so many records it would be a minute, and whoever has them has the memory too.
_MEGABYTES_PER_CORE = 128
_SPARING_UP_TO = 2_000_000

WindowKey = tuple[str, StorageWindow]
Fingerprints = Mapping[WindowKey, str]


def read_select(table: Table) -> str:
    """Read the one SELECT by which a table's rows come out of its files, or a view's out of tables."""
    kind = "views" if table in VIEWS else "tables"
    return (package_files("warehouse") / "sql" / kind / f"{table.name}.sql").read_text()


def build_fingerprint(settings: MartSettings) -> str:
    """Hash all that decides what a snapshot looks like; when it differs, everything is rebuilt."""
    parts = [str(_FORMAT), _STORAGE_VERSION, *settings.describe(), *describe_marts()]
    for table in (*PUBLISHED_TABLES, *VIEWS):
        parts += [table.description, read_select(table)]
        parts += [f"{column.name} {column.type} {column.description}" for column in table.columns]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Snapshot:
    """An open database file that is being built; a context manager that closes it, checkpointed.

    `path` is never the published file itself, but a copy or a new one beside it. `megabytes_per_core` is what
    DuckDB may take up to two million records. Raises `duckdb.Error`.
    """

    def __init__(self, path: Path, *, spill_folder: Path, megabytes_per_core: int = _MEGABYTES_PER_CORE) -> None:
        self._path = path
        self._megabytes_per_core = megabytes_per_core
        self._connection = duckdb.connect(
            config={"temp_directory": str(spill_folder), "autoinstall_known_extensions": "false"}
        )

    def __enter__(self) -> Snapshot:
        quoted = str(self._path).replace("'", "''")
        self._connection.execute(f"ATTACH '{quoted}' AS built (STORAGE_VERSION '{_STORAGE_VERSION}')")
        self._connection.execute("USE built")
        self._connection.execute("SET TimeZone = 'UTC'")
        # A long statement would draw one over whatever the command shows.
        self._connection.execute("SET enable_progress_bar = false")
        (cores,) = self._connection.execute("SELECT current_setting('threads')").fetchall()[0]
        self._connection.execute(f"SET memory_limit = '{cores * self._megabytes_per_core}MB'")
        return self

    def __exit__(self, *_exception: object) -> None:
        self._connection.close()

    def create(self) -> None:
        """Make the empty tables, with a comment on each and on each column."""
        self._connection.begin()
        self._connection.execute("CREATE SCHEMA publication")
        self._connection.execute("CREATE TABLE publication.build (fingerprint VARCHAR, published_at TIMESTAMPTZ)")
        self._connection.execute(
            "CREATE TABLE publication.windows "
            "(table_name VARCHAR, account VARCHAR, window_start DATE, fingerprint VARCHAR)"
        )
        for table in PUBLISHED_TABLES:
            columns = ", ".join(f'"{column.name}" {format_duckdb_type(column.type)}' for column in table.columns)
            self._connection.execute(f"CREATE TABLE {table.name} ({columns})")
            self._describe(table, "TABLE")
        for view in VIEWS:
            self._connection.execute(f"CREATE VIEW {view.name} AS {read_select(view)}")
            self._describe(view, "VIEW")
        self._connection.commit()

    def replace_windows(self, table: Table, gone: Sequence[WindowKey], *, came: Fingerprints) -> None:
        """Take out the rows of some windows and note those that come instead (`insert` brings their rows)."""
        out = [*gone, *came]
        away = {"accounts": [account for account, _ in out], "days": [window.first_day for _, window in out]}
        outgoing = "(account, window_start) IN (SELECT (unnest($accounts), unnest($days)))"
        self._connection.execute(f"DELETE FROM {table.name} WHERE {outgoing}", away)
        self._connection.execute(
            f"DELETE FROM publication.windows WHERE table_name = $name AND {outgoing}",
            {"name": table.name, **away},
        )
        self._connection.execute(
            "INSERT INTO publication.windows "
            "SELECT $name, unnest($accounts), unnest($days), unnest($fingerprints)",
            {
                "name": table.name,
                "accounts": [account for account, _ in came],
                "days": [window.first_day for _, window in came],
                "fingerprints": list(came.values()),
            },
        )

    def insert(self, table: Table, files: Sequence[Path]) -> None:
        """Append the rows of some files, through the table's SELECT."""
        select = read_select(table)
        for first in range(0, len(files), _FILES_PER_READ):
            batch = [str(path) for path in files[first : first + _FILES_PER_READ]]
            self._connection.execute(f"INSERT INTO {table.name} {select}", {"files": batch})

    def seal(self, settings: MartSettings) -> None:
        """Build the marts, then note how and when the file was built, as the last thing before it is published."""
        self._build_marts(settings)
        self._connection.execute("DELETE FROM publication.build")
        self._connection.execute("INSERT INTO publication.build VALUES (?, now())", [build_fingerprint(settings)])
        self._connection.execute("CHECKPOINT built")

    def _build_marts(self, settings: MartSettings) -> None:
        (records,) = self._connection.execute("SELECT count(*) FROM usage").fetchall()[0]
        is_sparing = records <= _SPARING_UP_TO
        if not is_sparing:
            self._connection.execute("RESET memory_limit")
        try:
            build_marts(self._connection, settings)
        except duckdb.OutOfMemoryException:
            if not is_sparing:
                raise
            # Not all can be spilled, and a file that is published is worth more than the memory.
            self._connection.execute("RESET memory_limit")
            build_marts(self._connection, settings)

    def _describe(self, table: Table, kind: str) -> None:
        self._comment(f"{kind} {table.name}", table.description)
        for column in table.columns:
            self._comment(f'COLUMN {table.name}."{column.name}"', column.description)

    def _comment(self, target: str, text: str) -> None:
        quoted = text.replace("'", "''")
        self._connection.execute(f"COMMENT ON {target} IS '{quoted}'")


def count_unlike(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    account: str,
    window: StorageWindow,
    *,
    files: Sequence[Path],
) -> int:
    """Count the rows of a window that only the published table or only the files have; raises `duckdb.Error`."""
    select = (
        f"WITH made AS ({read_select(table)}), "
        f"held AS (SELECT * FROM {table.name} WHERE account = $account AND window_start = $day) "
        "SELECT count(*) FROM "
        "((FROM made EXCEPT ALL FROM held) UNION ALL (FROM held EXCEPT ALL FROM made))"
    )
    values = {"files": [str(path) for path in files], "account": account, "day": window.first_day}
    return int(connection.execute(select, values).fetchall()[0][0])


@contextmanager
def open_snapshot(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Lend a read-only connection to a published file as it is now; instants come in UTC. Raises `duckdb.Error`.

    `duckdb.connect(path)` would give a process that still holds an earlier snapshot open that one again, as it
    looks for the path among its open databases.
    """
    with duckdb.connect(config={"temp_directory": f"{path}.tmp", "autoinstall_known_extensions": "false"}) as lent:
        quoted = str(path).replace("'", "''")
        lent.execute(f"ATTACH '{quoted}' AS warehouse (READ_ONLY)")
        lent.execute("USE warehouse")
        lent.execute("SET TimeZone = 'UTC'")
        lent.execute("SET enable_progress_bar = false")
        yield lent


def read_published_windows(path: Path, settings: MartSettings) -> dict[Table, dict[WindowKey, str]] | None:
    """Say what a published file stands for: each table's windows with the fingerprint they came from.

    None for a file that isn't there, is damaged, or was built in another way than today's.
    """
    if not path.is_file():
        return None
    try:
        with open_snapshot(path) as connection:
            (built,) = connection.execute("SELECT fingerprint FROM publication.build").fetchall()
            rows = connection.execute(
                "SELECT table_name, account, window_start, fingerprint FROM publication.windows"
            ).fetchall()
    except (duckdb.Error, ValueError):
        return None
    if built != (build_fingerprint(settings),):
        return None
    standing: dict[Table, dict[WindowKey, str]] = {table: {} for table in PUBLISHED_TABLES}
    tables = {table.name: table for table in PUBLISHED_TABLES}
    for name, account, day, fingerprint in rows:
        standing[tables[name]][account, window_of_key(str(day))] = fingerprint
    return standing


def count_rows(path: Path) -> dict[str, int]:
    """Count the rows of each table of a published file, by name; raises `duckdb.Error`."""
    return _count(path, "main", [table.name for table in PUBLISHED_TABLES])


def count_mart_rows(path: Path) -> dict[str, int]:
    """Count the rows of each mart of a published file, by name; raises `duckdb.Error`."""
    return _count(path, "marts", [mart.name for mart in MARTS])


def _count(path: Path, schema: str, names: Sequence[str]) -> dict[str, int]:
    with open_snapshot(path) as connection:
        return {
            name: int(connection.execute(f"SELECT count(*) FROM {schema}.{name}").fetchall()[0][0])
            for name in names
        }
