"""The published database file: its tables, and the windows it was built from."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from warehouse.errors import SnapshotUnreadable, StorageFailed
from warehouse.people.directory import Directory
from warehouse.schema.marts import MARTS
from warehouse.schema.tables import (
    FOLDED_TABLES,
    PEOPLE_TABLES,
    PUBLICATION_TABLES,
    PUBLISHED_TABLES,
    VIEWS,
    Table,
    render_ddl,
)
from warehouse.snapshot.marts import MACROS, MartSettings, build_marts, describe_marts
from warehouse.sql import read_sql
from warehouse.windows import StorageWindow, WindowKey, window_of, window_of_key

# Readable by DuckDB 1.2 and later (docs/design.md, "Storage version").
_STORAGE_VERSION = "v1.2.0"
_FORMAT = 2
_FILES_PER_READ = 2000
# Limits DuckDB's memory at the cost of some seconds of spilling. With more than two million records, the marts have a
# limit under which spilling those of ten million costs a few seconds too.
_MEGABYTES_PER_CORE = 128
_FEW_RECORDS = 2_000_000
_MEGABYTES_PER_CORE_FOR_MANY = 1_000

Fingerprints = Mapping[WindowKey, str]
Duplicates = Mapping[tuple[Table, str], Mapping[str, frozenset[StorageWindow]]]
"""The windows of each record ID with several rows, by table and account."""


def read_select(table: Table) -> str:
    """Return the SELECT of a table over its files, or of a view over tables."""
    return read_sql("views" if table in VIEWS else "tables", table.name)


def build_fingerprint(settings: MartSettings) -> str:
    """Return a hash of everything that shapes a snapshot; when it changes, the next publish rebuilds."""
    parts = [str(_FORMAT), _STORAGE_VERSION, *settings.describe(), *describe_marts()]
    for table in (*PUBLISHED_TABLES, *VIEWS):
        parts += [table.description, read_select(table)]
        parts += [f"{column.name} {column.type} {column.description}" for column in table.columns]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Snapshot:
    """A database file being built; a context manager that closes it after a checkpoint.

    Args:
        path: A copy of the published file or a new file, never the published file itself.
        spill_folder: Where DuckDB may write temporary data.
        reads: The folder whose files can be inserted. Other files and the network are out of reach, because a copied
            file may contain views that another program planted.
        megabytes_per_core: DuckDB's memory limit for up to two million records.

    Raises:
        duckdb.Error: DuckDB failed (all methods).

    """

    def __init__(
        self, path: Path, *, spill_folder: Path, reads: Path, megabytes_per_core: int = _MEGABYTES_PER_CORE
    ) -> None:
        self._path = path
        self._reads = reads
        self._megabytes_per_core = megabytes_per_core
        self._connection = duckdb.connect(
            config={"temp_directory": str(spill_folder), "autoinstall_known_extensions": "false"}
        )

    def __enter__(self) -> "Snapshot":
        quoted = str(self._path).replace("'", "''")
        self._connection.execute(f"ATTACH '{quoted}' AS built (STORAGE_VERSION '{_STORAGE_VERSION}')")
        self._connection.execute("USE built")
        self._connection.execute("SET TimeZone = 'UTC'")
        # DuckDB's bar would overwrite the command's own output.
        self._connection.execute("SET enable_progress_bar = false")
        self._limit_memory(self._megabytes_per_core)
        _forbid_other_files(self._connection, self._reads)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._connection.close()

    def create(self) -> None:
        """Create the empty tables, with comments on tables and columns. Views are created with the marts."""
        self._connection.begin()
        self._connection.execute("CREATE SCHEMA publication")
        self._connection.execute(
            "CREATE TABLE publication.build (fingerprint VARCHAR, people VARCHAR, published_at TIMESTAMPTZ)"
        )
        self._connection.execute(
            "CREATE TABLE publication.windows "
            "(table_name VARCHAR, account VARCHAR, window_start DATE, fingerprint VARCHAR)"
        )
        for table in PUBLISHED_TABLES:
            self._connection.execute(f"CREATE TABLE {table.name} ({render_ddl(table.columns)})")
            self._add_comments(table, "TABLE")
        self._connection.commit()

    def replace_windows(self, table: Table, to_remove: Sequence[WindowKey], *, to_replace: Fingerprints) -> None:
        """Delete the rows of windows, and record those that `insert` adds again."""
        out = [*to_remove, *to_replace]
        away = {"accounts": [account for account, _ in out], "days": [window.first_day for _, window in out]}
        outgoing = "(account, window_start) IN (SELECT (unnest($accounts), unnest($days)))"
        self._connection.execute(f"DELETE FROM {table.name} WHERE {outgoing}", away)
        self._connection.execute(
            f"DELETE FROM publication.windows WHERE table_name = $name AND {outgoing}", {"name": table.name, **away}
        )
        self._connection.execute(
            "INSERT INTO publication.windows SELECT $name, unnest($accounts), unnest($days), unnest($fingerprints)",
            {
                "name": table.name,
                "accounts": [account for account, _ in to_replace],
                "days": [window.first_day for _, window in to_replace],
                "fingerprints": list(to_replace.values()),
            },
        )

    def insert(self, table: Table, files: Sequence[Path]) -> None:
        """Insert the rows of some files, through the table's SELECT."""
        select = read_select(table)
        for first in range(0, len(files), _FILES_PER_READ):
            batch = [str(path) for path in files[first : first + _FILES_PER_READ]]
            self._connection.execute(f"INSERT INTO {table.name} {select}", {"files": batch})

    def find_duplicates(self) -> Duplicates:
        """Return the records that have rows in several windows."""
        return find_duplicates(self._connection)

    def finish(self, settings: MartSettings) -> None:
        """Build the marts and record the build, as the last step before publishing."""
        self._build_marts(settings)
        self._connection.execute("DELETE FROM publication.build")
        versions = [build_fingerprint(settings), settings.people.version]
        self._connection.execute("INSERT INTO publication.build VALUES (?, ?, now())", versions)
        self._connection.execute("CHECKPOINT built")

    def _build_marts(self, settings: MartSettings) -> None:
        (records,) = self._connection.execute("SELECT count(*) FROM usage").fetchall()[0]
        if records > _FEW_RECORDS:
            self._limit_memory(_MEGABYTES_PER_CORE_FOR_MANY)
        try:
            build_marts(self._connection, settings)
        except duckdb.OutOfMemoryException:
            # Not everything can be spilled.
            self._connection.execute("RESET memory_limit")
            build_marts(self._connection, settings)

    def _limit_memory(self, megabytes_per_core: int) -> None:
        (cores,) = self._connection.execute("SELECT current_setting('threads')").fetchall()[0]
        self._connection.execute(f"SET memory_limit = '{cores * megabytes_per_core}MB'")

    def _add_comments(self, table: Table, kind: str) -> None:
        self._comment(f"{kind} {table.name}", table.description)
        for column in table.columns:
            self._comment(f'COLUMN {table.name}."{column.name}"', column.description)

    def _comment(self, target: str, text: str) -> None:
        quoted = text.replace("'", "''")
        self._connection.execute(f"COMMENT ON {target} IS '{quoted}'")


def find_duplicates(connection: duckdb.DuckDBPyConnection) -> Duplicates:
    """Return the records of the folded tables that have rows in several windows."""
    duplicates: dict[tuple[Table, str], dict[str, frozenset[StorageWindow]]] = {}
    for table in FOLDED_TABLES:
        rows = connection.execute(
            f"SELECT account, record_id, list(DISTINCT window_start) FROM {table.name} "
            "GROUP BY account, record_id HAVING count(*) > 1"
        ).fetchall()
        for account, record_id, days in rows:
            duplicates.setdefault((table, account), {})[record_id] = frozenset(map(window_of, days))
    return duplicates


def _forbid_other_files(connection: duckdb.DuckDBPyConnection, reads: Path | None) -> None:
    """Restrict a connection to its attached files and those below the folder `reads`."""
    if reads is not None:
        connection.execute("SET allowed_directories = $folders", {"folders": [str(reads)]})
    connection.execute("SET enable_external_access = false")
    connection.execute("SET python_enable_replacements = false")


def attach_published(connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    """Attach a published file read-only.

    A WAL next to it is refused: DuckDB would apply it, even if it belongs to an earlier file. Raises `duckdb.Error` and
    `StorageFailed`.
    """
    wal = find_foreign_wal(path)
    if wal is not None:
        raise StorageFailed(
            f"cannot read {path}",
            f"another program opened it for writing and left {wal.name}",
            "Open it read-only there, and run 'iplum publish', which removes that file",
        )
    quoted = str(path).replace("'", "''")
    connection.execute(f"ATTACH '{quoted}' AS {name} (READ_ONLY)")


def find_foreign_wal(path: Path) -> Path | None:
    """Return the WAL next to a published file, where a publisher never leaves one."""
    wal = path.with_name(f"{path.name}.wal")
    return wal if os.path.lexists(wal) else None


@contextmanager
def open_snapshot(
    path: Path, *, reads: Path | None = None, time_zone: str = "UTC"
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a read-only connection to a published file; instants are in `time_zone` (IANA).

    Raises `duckdb.Error`, and `StorageFailed` if another program left a WAL.

    Files outside the folder `reads` and the network are out of reach, so that a view that another program planted in
    the file cannot read them. `duckdb.connect(path)` would return an earlier snapshot that this process still has open
    under the same path.
    """
    with duckdb.connect(
        config={"temp_directory": f"{path}.tmp", "autoinstall_known_extensions": "false"}
    ) as connection:
        attach_published(connection, path, "warehouse")
        connection.execute("USE warehouse")
        connection.execute("SET TimeZone = $zone", {"zone": time_zone})
        connection.execute("SET enable_progress_bar = false")
        _forbid_other_files(connection, reads)
        yield connection


@contextmanager
def read_snapshot(
    path: Path, *, reads: Path | None = None, time_zone: str = "UTC"
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a published file as `open_snapshot` does; raises `SnapshotUnreadable` instead of `duckdb.Error`."""
    try:
        with open_snapshot(path, reads=reads, time_zone=time_zone) as connection:
            yield connection
    except duckdb.Error as error:
        # DuckDB's text may contain values.
        raise SnapshotUnreadable(str(path), type(error).__name__) from None


def read_published_windows(path: Path, settings: MartSettings) -> dict[Table, dict[WindowKey, str]] | None:
    """Return, per table, the windows in a published snapshot and their fingerprints.

    None if the file is missing, damaged, or was built with other settings or another version.
    """
    if not path.is_file():
        return None
    try:
        with open_snapshot(path) as connection:
            (built,) = connection.execute("SELECT fingerprint FROM publication.build").fetchall()
            rows = connection.execute(
                "SELECT table_name, account, window_start, fingerprint FROM publication.windows"
            ).fetchall()
    except (duckdb.Error, StorageFailed, ValueError):
        return None
    if built != (build_fingerprint(settings),):
        return None
    published: dict[Table, dict[WindowKey, str]] = {table: {} for table in PUBLISHED_TABLES}
    tables = {table.name: table for table in PUBLISHED_TABLES}
    for name, account, day, fingerprint in rows:
        published[tables[name]][account, window_of_key(str(day))] = fingerprint
    return published


def has_own_objects(path: Path) -> bool:
    """Whether a published file has exactly the tables, views and macros that a publish creates.

    Raises `duckdb.Error` and `StorageFailed`.
    """
    with open_snapshot(path) as connection:
        return {
            name for (name,) in connection.execute(read_sql("publication", "objects")).fetchall()
        } == _list_objects()


def _list_objects() -> set[str]:
    """Return the names of all tables, views and macros of a published file."""
    main = [table.name for table in (*PUBLISHED_TABLES, *PEOPLE_TABLES, *VIEWS)] + list(MACROS)
    return {
        *(f"main.{name}" for name in main),
        *(f"marts.{mart.name}" for mart in MARTS),
        *(table.name for table in PUBLICATION_TABLES),
        "publication.build",
        "publication.windows",
    }


def has_people(path: Path, people: Directory) -> bool:
    """Whether a published file was built with these people; raises `duckdb.Error`."""
    with open_snapshot(path) as connection:
        return connection.execute("SELECT people FROM publication.build").fetchall() == [(people.version,)]


def count_rows(path: Path) -> dict[str, int]:
    """Count the rows of each published table, by name; raises `SnapshotUnreadable` and `StorageFailed`."""
    return _count(path, "main", [table.name for table in PUBLISHED_TABLES])


def count_mart_rows(path: Path) -> dict[str, int]:
    """Count the rows of each mart, by name; raises `SnapshotUnreadable` and `StorageFailed`."""
    return _count(path, "marts", [mart.name for mart in MARTS])


def _count(path: Path, schema: str, names: Sequence[str]) -> dict[str, int]:
    with read_snapshot(path) as connection:
        return {
            name: int(connection.execute(f"SELECT count(*) FROM {schema}.{name}").fetchall()[0][0]) for name in names
        }
