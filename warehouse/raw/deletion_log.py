"""Deletion records: what a retention run deletes, as counts and hashes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from warehouse.errors import RecordUnreadable
from warehouse.raw.log import file_time
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of_key

_BEFORE = "-before-"
_SUFFIX = ".json"


@dataclass(kw_only=True)
class DeletionRecord:
    """One deletion: all of an account before `before`, but what is held.

    `windows` has, by window key, the rows of each table that go (`rows`), those that are held (`held`), and the
    raw files that go, with size and hash (`raw`). `files` are the media files that go unless a record that stays
    has the same; `files_kept` says which did. `finished_at` is None until all of it is done.
    """

    account: str
    before: str
    older_than_days: int
    began_at: datetime
    windows: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: list[dict[str, Any]] = field(default_factory=list)
    files_kept: list[str] = field(default_factory=list)
    inbox_events: int = 0
    finished_at: datetime | None = None

    @property
    def floor(self) -> StorageWindow:
        """The first window that stays."""
        return window_of_key(self.before)

    @property
    def rows(self) -> dict[str, int]:
        """How many rows of each table go."""
        return self._sum("rows")

    @property
    def held(self) -> dict[str, int]:
        """How many rows of each table are held."""
        return self._sum("held")

    @property
    def raw_files(self) -> int:
        """How many raw files go."""
        return sum(len(window["raw"]) for window in self.windows.values())

    def _sum(self, kind: str) -> dict[str, int]:
        total: dict[str, int] = {}
        for window in self.windows.values():
            for table, rows in window[kind].items():
                total[table] = total.get(table, 0) + rows
        return total


def save_deletion_record(folder: DataFolder, deletion: DeletionRecord) -> None:
    """Put the record in place, durable when this returns; raises `StorageFailed`."""
    content = json.dumps(asdict(deletion), default=datetime.isoformat, indent=1)
    folder.store.write(f"{folder.retention_folder(deletion.account)}/{_name(deletion)}", content.encode())


def load_deletion_records(folder: DataFolder, account: str) -> list[DeletionRecord]:
    """Read an account's records, oldest first; raises `RecordUnreadable`."""
    return [_read(folder, f"{folder.retention_folder(account)}/{name}") for name in _names(folder, account)]


def find_first_kept_window(folder: DataFolder, account: str) -> StorageWindow | None:
    """Say which window is the first that was not deleted; None where nothing ever was. Opens no file."""
    days = [name.removesuffix(_SUFFIX).partition(_BEFORE)[2] for name in _names(folder, account)]
    return max((window_of_key(day) for day in days), default=None)


def is_deleted(folder: DataFolder, account: str, window: StorageWindow) -> bool:
    """Say whether a window lies before what is kept, so that nothing new may come into it."""
    floor = find_first_kept_window(folder, account)
    return floor is not None and window < floor


def _name(deletion: DeletionRecord) -> str:
    return f"{file_time(deletion.began_at)}{_BEFORE}{deletion.before}{_SUFFIX}"


def _names(folder: DataFolder, account: str) -> list[str]:
    names = folder.store.list_names(folder.retention_folder(account))
    return [name for name in names if _BEFORE in name and not name.startswith(".")]


def _read(folder: DataFolder, key: str) -> DeletionRecord:
    try:
        fields = json.loads(b"".join(folder.store.read_pieces(key)))
        for name in ("began_at", "finished_at"):
            fields[name] = None if fields[name] is None else datetime.fromisoformat(fields[name])
        return DeletionRecord(**fields)
    except (ValueError, TypeError, KeyError) as error:
        raise RecordUnreadable(folder.store.locate(key)) from error
