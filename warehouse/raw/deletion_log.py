"""Deletion records: what a retention run deletes, as counts and hashes."""

import json
import re
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from warehouse.errors import RecordUnreadable
from warehouse.raw.log import format_file_time
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of, window_of_key

_BEFORE = "-before-"
_SUFFIX = ".json"
_NAME = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-before-([0-9]{4}-[0-9]{2}-[0-9]{2})\.json")
_EXTENSION = re.compile(r"[a-z0-9]{1,8}")


@dataclass(kw_only=True)
class DeletionRecord:
    """One deletion of an account's records before `before`, except held ones.

    It is written before anything is deleted, and again afterwards. `windows` maps a window key to the deleted rows
    of each table (`rows`), the held rows (`held`) and the deleted raw files with size and hash (`raw`). `rewritten` are
    the raw files of other windows that are written again without deleted records. `files` are the media files to delete
    unless a remaining record refers to them; `files_kept` are those that were kept.
    `finished_at` is None until the deletion is complete.
    """

    account: str
    before: str
    older_than_days: int
    began_at: datetime
    windows: dict[str, dict[str, Any]] = field(default_factory=dict)
    rewritten: list[dict[str, Any]] = field(default_factory=list)
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
    folder.store.write(_key(folder, deletion), content.encode())


def load_deletion_records(folder: DataFolder, account: str) -> list[DeletionRecord]:
    """Read an account's records, oldest first; raises `RecordUnreadable`."""
    return [_read(folder, account, name) for name in _names(folder, account)]


def find_effective_record(folder: DataFolder, account: str) -> DeletionRecord | None:
    """Return the record of the deletion that reaches furthest, or None if nothing was deleted.

    Raises `RecordUnreadable` if it is damaged: its name alone must not stop a sync.
    """
    latest = max(_names(folder, account), key=lambda name: name.partition(_BEFORE)[2], default=None)
    return None if latest is None else _read(folder, account, latest)


def find_first_kept_window(folder: DataFolder, account: str) -> StorageWindow | None:
    """Return the first window that was not deleted, or None if nothing was; raises `RecordUnreadable`."""
    record = find_effective_record(folder, account)
    return None if record is None else record.first_kept


def locate_record(folder: DataFolder, deletion: DeletionRecord) -> str:
    """Return the place of a record as users write it."""
    return folder.store.locate(_key(folder, deletion))


def is_deleted(folder: DataFolder, account: str, window: StorageWindow) -> bool:
    """Whether a window was deleted, so that no records may be added to it."""
    first_kept = find_first_kept_window(folder, account)
    return first_kept is not None and window < first_kept


def _name(deletion: DeletionRecord) -> str:
    return f"{format_file_time(deletion.began_at)}{_BEFORE}{deletion.before}{_SUFFIX}"


def _key(folder: DataFolder, deletion: DeletionRecord) -> str:
    return f"{folder.retention_folder(deletion.account)}/{_name(deletion)}"


def _names(folder: DataFolder, account: str) -> list[str]:
    return [name for name in folder.store.list_names(folder.retention_folder(account)) if _NAME.fullmatch(name)]


def _read(folder: DataFolder, account: str, name: str) -> DeletionRecord:
    key = f"{folder.retention_folder(account)}/{name}"
    try:
        fields = json.loads(b"".join(folder.store.read_chunks(key)))
        for instant in ("began_at", "finished_at"):
            fields[instant] = None if fields[instant] is None else datetime.fromisoformat(fields[instant])
        deletion = DeletionRecord(**fields)
        is_own = deletion.account == account and _name(deletion) == name
        if not is_own or not _is_consistent(folder, deletion):
            raise RecordUnreadable(folder.store.locate(key))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise RecordUnreadable(folder.store.locate(key)) from error
    return deletion


def _is_consistent(folder: DataFolder, deletion: DeletionRecord) -> bool:
    """Whether a record is like those that a deletion writes, so that no invented one deletes or hides other data."""
    deletes_past = deletion.older_than_days > 0
    first_kept = window_of(deletion.began_at - timedelta(days=deletion.older_than_days))
    has_old_windows = all(
        window_of_key(key) <= first_kept
        and (type(window["rows"]), type(window["held"]), type(window["raw"])) == (dict, dict, list)
        for key, window in deletion.windows.items()
    )
    return deletes_past and deletion.first_kept == first_kept and has_old_windows and _has_media(folder, deletion)


def _has_media(folder: DataFolder, deletion: DeletionRecord) -> bool:
    """Whether all files to delete are media files, named by their hash."""
    return all(find_media_hash(folder, file["path"]) == file["sha256"] for file in deletion.files)


def find_media_hash(folder: DataFolder, path: str) -> str | None:
    """Return the hash that a media file's name states; None for another file."""
    digest, _, extension = path.rpartition("/")[2].partition(".")
    is_named_by_hash = re.fullmatch("[0-9a-f]{64}", digest) and _EXTENSION.fullmatch(extension)
    return digest if is_named_by_hash and path == folder.media_file(digest, extension) else None
