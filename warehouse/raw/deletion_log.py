"""Deletion records: what a retention run deletes, as counts and hashes."""

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from warehouse.errors import RecordUnreadable
from warehouse.raw.log import format_file_time
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of_key

_BEFORE = "-before-"
_SUFFIX = ".json"


@dataclass(kw_only=True)
class DeletionRecord:
    """One deletion of an account's records before `before`, except held ones.

    It is written before anything is deleted, and again afterwards. `windows` maps a window key to the deleted rows
    of each table (`rows`), the held rows (`held`) and the deleted raw files with size and hash (`raw`). `files`
    are the media files to delete unless a remaining record refers to them; `files_kept` are those that were kept.
    `finished_at` is None until the deletion is complete.
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
    def first_kept(self) -> StorageWindow:
        """The first window that is kept."""
        return window_of_key(self.before)

    @property
    def rows(self) -> dict[str, int]:
        """Deleted rows per table."""
        return self._sum("rows")

    @property
    def held(self) -> dict[str, int]:
        """Held rows per table."""
        return self._sum("held")

    @property
    def raw_files(self) -> int:
        """The number of deleted raw files."""
        return sum(len(window["raw"]) for window in self.windows.values())

    def _sum(self, kind: str) -> dict[str, int]:
        total: dict[str, int] = {}
        for window in self.windows.values():
            for table, rows in window[kind].items():
                total[table] = total.get(table, 0) + rows
        return total


def save_deletion_record(folder: DataFolder, deletion: DeletionRecord) -> None:
    """Write a record durably; raises `StorageFailed`."""
    content = json.dumps(asdict(deletion), default=datetime.isoformat, indent=1)
    folder.store.write(f"{folder.retention_folder(deletion.account)}/{_name(deletion)}", content.encode())


def load_deletion_records(folder: DataFolder, account: str) -> list[DeletionRecord]:
    """Read an account's records, oldest first; raises `RecordUnreadable`."""
    return [_read(folder, f"{folder.retention_folder(account)}/{name}") for name in _names(folder, account)]


def find_first_kept_window(folder: DataFolder, account: str) -> StorageWindow | None:
    """Return the first window that was not deleted, or None if nothing was. Opens no file."""
    days = [name.removesuffix(_SUFFIX).partition(_BEFORE)[2] for name in _names(folder, account)]
    return max((window_of_key(day) for day in days), default=None)


def is_deleted(folder: DataFolder, account: str, window: StorageWindow) -> bool:
    """Whether a window was deleted, so that no records may be added to it."""
    first_kept = find_first_kept_window(folder, account)
    return first_kept is not None and window < first_kept


def _name(deletion: DeletionRecord) -> str:
    return f"{format_file_time(deletion.began_at)}{_BEFORE}{deletion.before}{_SUFFIX}"


def _names(folder: DataFolder, account: str) -> list[str]:
    names = folder.store.list_names(folder.retention_folder(account))
    return [name for name in names if _BEFORE in name and not name.startswith(".")]


def _read(folder: DataFolder, key: str) -> DeletionRecord:
    try:
        fields = json.loads(b"".join(folder.store.read_chunks(key)))
        for name in ("began_at", "finished_at"):
            fields[name] = None if fields[name] is None else datetime.fromisoformat(fields[name])
        return DeletionRecord(**fields)
    except (ValueError, TypeError, KeyError) as error:
        raise RecordUnreadable(folder.store.locate(key)) from error
