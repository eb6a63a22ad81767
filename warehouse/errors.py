"""Errors of the warehouse.

    WarehouseError           an operation failed: which one, the cause, and the fix
    ├── StorageFailed        the disk, folder or bucket rejected a read or a write
    │   └── FolderRefused    a file or folder that someone must repair or move
    ├── RawDamaged           a file of the raw log cannot be read, and nothing can replace it
    ├── PublishedInPart      everything was published except damaged raw files
    ├── NothingPublished     there is no snapshot to query yet
    ├── SnapshotUnreadable   the published file is damaged or was changed by another program
    ├── PublisherBusy        another publisher held the lock for too long
    ├── InboxFailed          the database of the callback inbox cannot be reached or written
    ├── FileRefused          a downloaded file is not the expected one
    ├── ExportFailed         an extract would be incomplete
    ├── HoldsUnreadable      the file of legal holds cannot be read
    ├── NoSuchHold           there is no hold with this number
    ├── RecordUnreadable     a deletion record cannot be read
    ├── RecordContradicted   a deletion record does not fit the data or the time
    ├── WindowDeleted        retention has deleted the window while it was pulled
    ├── ChainDamaged         the evidence chain cannot be read or continued
    ├── SealRefused          an entry cannot be added to the evidence chain now
    ├── SealKeyUnusable      the key that signs the evidence chain cannot be used
    └── QueryFailed          DuckDB rejected a user's SQL

Texts contain no row's content.
"""

import errno
from collections.abc import Collection
from pathlib import Path

_SHOWN = 3
_MOVE_FILE = ("a file is in the place of a folder", "Move the file, or set IPLUM_DATA to another folder")
_ALLOW_USER = "Let the user who runs this read and write the folder (IPLUM_DATA)"
#: Cause and fix by the number of an `OSError`.
_SYSTEM_ERRORS = {
    errno.ENOSPC: ("the disk is full", "Free some space and run again; nothing written before is lost"),
    errno.EDQUOT: ("the disk quota is used up", "Raise it or free some space, and run again"),
    errno.EACCES: ("no permission", _ALLOW_USER),
    errno.EPERM: ("not permitted", _ALLOW_USER),
    errno.EROFS: ("the filesystem is read-only", "Mount it writable, or set IPLUM_DATA to another folder"),
    errno.ENOTDIR: _MOVE_FILE,
    errno.EEXIST: _MOVE_FILE,
    errno.EFBIG: ("the file is larger than the system allows", "Raise the limit (ulimit -f) and run again"),
}


class WarehouseError(Exception):
    """An operation on the warehouse failed; `failed` names it, as in "cannot write /data/file"."""

    def __init__(self, failed: str, cause: str = "", fix: str = "") -> None:
        super().__init__(failed, cause, fix)
        self.failed = failed
        self.cause = cause
        self.fix = fix

    def __str__(self) -> str:
        problem = f"{self.failed}: {self.cause}" if self.cause else self.failed
        return f"{problem}. {self.fix}." if self.fix else problem


class StorageFailed(WarehouseError):
    """The disk, folder or bucket rejected a read or a write."""

    @classmethod
    def during(cls, action: str, path: Path, error: OSError) -> "StorageFailed":
        """Build the error for an `OSError` raised while doing `action` to `path`."""
        other = ((error.strerror or type(error).__name__).lower(), "Check the disk and the folder, then run again")
        return cls(f"cannot {action} {path}", *_SYSTEM_ERRORS.get(error.errno or 0, other))


class FolderRefused(StorageFailed):
    """A file or folder is a symlink, belongs to another user or is damaged: someone must repair or move it."""


class RawDamaged(WarehouseError):
    """A file of the raw log cannot be read. Raw files cannot be rebuilt from other files."""

    def __init__(self, key: str, place: str) -> None:
        self.key = key
        super().__init__(
            f"cannot read the raw file {place}",
            "it is damaged",
            "Restore it from a backup, or move it away and sync its window again",
        )


class PublishedInPart(WarehouseError):
    """Everything was published except damaged raw files; their windows keep the rows they had."""

    def __init__(self, damaged: Collection[str]) -> None:
        self.damaged = tuple(sorted(damaged))
        files = "1 raw file is damaged" if len(damaged) == 1 else f"{len(damaged)} raw files are damaged"
        names = ", ".join(self.damaged[:_SHOWN]) + (" …" if len(damaged) > _SHOWN else "")
        super().__init__(
            f"{files}, everything else is published",
            names,
            "Restore the files from a backup, or move them away and sync their windows again. Until then, these "
            "windows keep their rows",
        )


class NothingPublished(WarehouseError):
    """There is no snapshot to query yet."""


class SnapshotUnreadable(WarehouseError):
    """The published file is damaged, or another program has changed it; `kind` is DuckDB's name of the error."""

    def __init__(self, path: str, kind: str) -> None:
        super().__init__(
            f"cannot read {path}",
            f"it is damaged, or another program has changed it ({kind})",
            "Run 'iplum publish --full'",
        )


class PublisherBusy(WarehouseError):
    """Another publisher held the lock for longer than this one waits."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            "cannot publish",
            f"another process has been publishing for over {seconds:.0f} s",
            "Wait until it ends, then run 'iplum publish'",
        )


class InboxFailed(WarehouseError):
    """The database of the callback inbox cannot be reached or written."""

    def __init__(self, cause: str, database: str) -> None:
        super().__init__(
            f"cannot use the callback inbox ({database})",
            cause,
            "Check that its database (IPLUM_INBOX_URL; without it, a file in IPLUM_STATE) runs, accepts writes and "
            "has space. No acknowledged event is lost",
        )


class FileRefused(WarehouseError):
    """A downloaded file is empty, or not the expected kind of file."""

    def __init__(self, reason: str) -> None:
        super().__init__("download rejected", reason, "The next archive run tries again")


class ExportFailed(WarehouseError):
    """An extract was not written, because it would be incomplete."""


class HoldsUnreadable(WarehouseError):
    """The file of legal holds cannot be read, so nothing may be deleted."""


class ChainDamaged(WarehouseError):
    """The evidence chain cannot be read, so nothing is added to it."""

    def __init__(self, place: str, cause: str) -> None:
        super().__init__(f"cannot read {place}", cause, "Run 'iplum verify --offline', and restore it from a backup")


class SealRefused(WarehouseError):
    """An entry cannot be added to the evidence chain now."""

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__("cannot seal", cause, fix)


class SealKeyUnusable(WarehouseError):
    """The key that signs the evidence chain cannot be used."""

    def __init__(self, path: Path, cause: str, fix: str = "Restore the key from a backup") -> None:
        super().__init__(f"cannot use the key {path}", cause, fix)


class NoSuchHold(WarehouseError):
    """There is no hold with this number."""


class RecordUnreadable(WarehouseError):
    """A deletion record cannot be read."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"cannot read the deletion record {path}",
            "it is damaged, or iplum did not write it",
            "Restore it from a backup, or remove it if its windows may be pulled again",
        )


class RecordContradicted(WarehouseError):
    """A deletion record does not fit the data or the time, so windows would be skipped that were not deleted."""

    def __init__(self, path: str, cause: str) -> None:
        super().__init__(
            f"cannot use the deletion record {path}",
            cause,
            "If iplum did not write it, remove it. If a backup restored the data, run 'iplum retention' again",
        )


class WindowDeleted(WarehouseError):
    """Retention has deleted a window while it was pulled, so its response was not stored."""

    def __init__(self, window: object) -> None:
        super().__init__(
            f"cannot store the window {window}", "'iplum retention' has deleted it meanwhile", "Run the sync again"
        )


class QueryFailed(WarehouseError):
    """DuckDB rejected a user's SQL. The text is DuckDB's own, because it names the position."""
