"""Exports: records, bodies and files of a selection, with a manifest of checksums."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb

from warehouse.errors import ExportFailed, StorageFailed
from warehouse.outputs.escaping import format_csv_row
from warehouse.progress import ProgressCallback, ignore_progress
from warehouse.snapshot.database import read_snapshot
from warehouse.snapshot.pointer import fetch_snapshot
from warehouse.sql import read_sql
from warehouse.storage.atomic_files import Modes, scratch_folder
from warehouse.storage.hashing import hash_file
from warehouse.storage.paths import DataFolder

MANIFEST = "SHA256SUMS"
_TABLES = ("usage", "recordings", "messages")
_ROWS_AT_A_TIME = 10_000
_PRIVATE = Modes()
_FIX = "Run 'iplum verify', restore the file from a backup, then export again"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The records to export: from `since` up to, excluding, `until` (aware UTC), of one user or counterparty."""

    since: datetime
    until: datetime
    user: str | None = None
    counterparty: str | None = None


@dataclass(frozen=True)
class Extract:
    """The result of an export: rows per table, files, and records whose body or file is not archived."""

    rows: dict[str, int]
    files: int
    missing: int


def export(
    folder: DataFolder,
    selection: Selection,
    target: Path,
    *,
    time_zone: str = "UTC",
    on_progress: ProgressCallback = ignore_progress,
) -> Extract:
    """Write the extract as a new folder `target`, whole or not at all.

    It contains `usage`, `recordings` and `messages` as CSV (null is empty) and JSON lines, `files/`, and
    `SHA256SUMS` for `sha256sum -c`. Times are in `time_zone` (IANA), with their offset. Each file is verified while it
    is copied.

    Raises:
        NothingPublished: There is no snapshot.
        SnapshotUnreadable: The snapshot is damaged, or another program has changed it.
        ExportFailed: The target exists, or a file is missing or damaged.
        StorageFailed: The disk failed.

    """
    snapshot = fetch_snapshot(folder)
    if target.exists():
        raise ExportFailed(f"cannot export to {target}", "it exists already", "Name a new folder")
    try:
        with scratch_folder(target.absolute().parent, _PRIVATE) as scratch:
            built = scratch / "extract"
            built.mkdir(mode=0o700)
            extract = _write(folder, snapshot, selection, built, time_zone=time_zone, on_progress=on_progress)
            built.replace(target)
    except OSError as error:
        raise StorageFailed.during("write", target, error) from error
    return extract


def _write(
    folder: DataFolder,
    snapshot: Path,
    selection: Selection,
    built: Path,
    *,
    time_zone: str,
    on_progress: ProgressCallback,
) -> Extract:
    rows: dict[str, int] = {}
    files: dict[str, str] = {}
    missing = 0
    with read_snapshot(snapshot, time_zone=time_zone) as connection:
        for table in _TABLES:
            rows[table] = 0
            for record in _write_rows(built / table, *_select(connection, table, selection)):
                rows[table] += 1
                missing += "status" in record and record["status"] != "verified"
                if record.get("path") and record["status"] == "verified":
                    files[record["path"]] = record["sha256"]
    _copy_files(folder, files, built / "files", on_progress=on_progress)
    _write_manifest(built)
    return Extract(rows, len(files), missing)


def _select(
    connection: duckdb.DuckDBPyConnection, table: str, selection: Selection
) -> tuple[list[str], Iterator[Sequence[Any]]]:
    result = connection.execute(read_sql("exports", table), asdict(selection))
    batches = iter(lambda: result.fetchmany(_ROWS_AT_A_TIME), [])
    return [str(column[0]) for column in result.description or ()], chain.from_iterable(batches)


def _write_rows(path: Path, columns: list[str], rows: Iterator[Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Write rows as CSV, without formulas a spreadsheet would execute, and as JSON lines, verbatim; yield them."""
    csv_path, json_path = path.with_suffix(".csv"), path.with_suffix(".jsonl")
    with csv_path.open("w", encoding="utf-8", newline="") as table, json_path.open("w", encoding="utf-8") as lines:
        csv_path.chmod(_PRIVATE.file)
        json_path.chmod(_PRIVATE.file)
        table.write(f"{format_csv_row(columns)}\r\n")
        for row in rows:
            values = [value.isoformat() if isinstance(value, datetime | date) else value for value in row]
            table.write(f"{format_csv_row(values)}\r\n")
            record = dict(zip(columns, values, strict=True))
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")
            yield record


def _copy_files(folder: DataFolder, files: dict[str, str], target: Path, *, on_progress: ProgressCallback) -> None:
    target.mkdir(mode=0o700)
    for done, (path, digest) in enumerate(files.items(), start=1):
        copy = target / Path(path).name
        try:
            with copy.open("wb") as file:
                copy.chmod(_PRIVATE.file)
                file.writelines(folder.store.read_chunks(path))
        except FileNotFoundError as error:
            raise ExportFailed(f"cannot export {path}", "it is missing", _FIX) from error
        if hash_file(copy)[0] != digest:
            raise ExportFailed(f"cannot export {path}", "it is damaged", _FIX)
        on_progress(done, len(files))


def _write_manifest(built: Path) -> None:
    lines = [
        f"{hash_file(path)[0]}  {path.relative_to(built)}\n" for path in sorted(built.rglob("*")) if path.is_file()
    ]
    manifest = built / MANIFEST
    manifest.write_text("".join(lines))
    manifest.chmod(_PRIVATE.file)
