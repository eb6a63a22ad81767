"""What can go wrong between the warehouse and its disk, as one tree.

    WarehouseError
    ├── StorageFailed        the disk or folder refused a read or a write
    ├── RawDamaged           a file of the raw log can't be read, and nothing can replace it
    ├── PublishedInPart      all was published but what damaged raw files hold
    ├── NothingPublished     there is no snapshot to query yet
    ├── PublisherBusy        another publisher held the lock for too long
    ├── InboxFailed          the database of the callback inbox can't be reached or written
    ├── FileRefused          what came in the place of a file is none
    ├── ExportFailed         an extract that would not be whole
    ├── HoldsUnreadable      what says which records are held can't be read
    ├── NoSuchHold           a hold that is not there
    ├── RecordUnreadable     the record of a deletion can't be read
    └── QueryFailed          a user's SQL was refused by DuckDB

Each says what happened, to which file, and what to do. None holds a row's text.
"""

from __future__ import annotations

import errno
from collections.abc import Collection
from pathlib import Path

_SHOWN = 3


class WarehouseError(Exception):
    """Anything the warehouse refuses; its text is one clear line for the person who runs it."""


class StorageFailed(WarehouseError):
    """The disk or a folder refused a read or a write."""

    @classmethod
    def during(cls, action: str, path: Path, cause: OSError) -> StorageFailed:
        """Name the cause and the remedy of an `OSError` met while doing `action` to `path`."""
        remedies = {
            errno.ENOSPC: "the disk is full: free some space there and run again; nothing written before is lost",
            errno.EDQUOT: "the disk quota is used up: raise it or free some space, and run again",
            errno.EACCES: "no permission: let the user who runs this read and write the folder (IPLUM_DATA)",
            errno.EPERM: "not permitted: let the user who runs this read and write the folder (IPLUM_DATA)",
            errno.EROFS: "the filesystem is read-only: mount it writable, or point IPLUM_DATA elsewhere",
            errno.ENOTDIR: "a file stands where a folder is needed: move it, or point IPLUM_DATA elsewhere",
            errno.EEXIST: "a file stands where a folder is needed: move it, or point IPLUM_DATA elsewhere",
            errno.EFBIG: "the file is larger than this system allows: raise the limit (ulimit -f) and run again",
        }
        reason = cause.strerror or type(cause).__name__
        remedy = remedies.get(cause.errno or 0, "check the disk and the folder, then run again")
        return cls(f"can't {action} {path} ({reason}); {remedy}")


class RawDamaged(WarehouseError):
    """A file of the raw log can't be read; it is the one thing that can't be rebuilt from elsewhere."""

    def __init__(self, key: str, place: str) -> None:
        self.key = key
        super().__init__(
            f"the raw file {place} is damaged; restore it from a backup, or move it away and sync its window again"
        )


class PublishedInPart(WarehouseError):
    """Everything was published but what is in damaged raw files; their windows keep the rows they had."""

    def __init__(self, damaged: Collection[str]) -> None:
        self.damaged = tuple(sorted(damaged))
        files = "1 raw file is damaged" if len(damaged) == 1 else f"{len(damaged)} raw files are damaged"
        names = ", ".join(self.damaged[:_SHOWN]) + (" …" if len(damaged) > _SHOWN else "")
        super().__init__(
            f"{files} and all the rest is published: {names}; restore from a backup, or move away what is damaged "
            "and sync the windows again, which keep the rows they had until then"
        )


class NothingPublished(WarehouseError):
    """There is no snapshot to query yet."""

    def __init__(self, place: str) -> None:
        super().__init__(f"there is no warehouse at {place} yet; run 'iplum sync' (or 'iplum publish') first")


class PublisherBusy(WarehouseError):
    """Another publisher held the lock for longer than this one would wait."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"another process has been publishing for over {seconds:.0f} s; wait for it to end, then run "
            "'iplum publish'"
        )


class InboxFailed(WarehouseError):
    """The database of the callback inbox can't be reached or written."""

    def __init__(self, cause: str, database: str) -> None:
        self.cause = cause
        self.database = database
        super().__init__(
            f"the callback inbox can't be used ({database}: {cause}); see that its database runs, takes writes "
            "and has room (IPLUM_INBOX_URL; without it, IPLUM_STATE); nothing that was acknowledged is lost"
        )


class FileRefused(WarehouseError):
    """What came in the place of a file is none, or not the kind that was asked for."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"what came was not kept: {reason}; the next archive run tries again")


class ExportFailed(WarehouseError):
    """An extract was not written, since it would not be what it says."""


class HoldsUnreadable(WarehouseError):
    """The file of holds can't be read, so nothing may be deleted."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} can't be read, so nothing is deleted; mend it or restore it from a backup, and see "
            "'iplum hold list'"
        )


class NoSuchHold(WarehouseError):
    """There is no hold of this number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"there is no hold number {number}; see 'iplum hold list'")


class RecordUnreadable(WarehouseError):
    """The record of an earlier deletion can't be read."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the record {path} can't be read; restore it from a backup")


class QueryFailed(WarehouseError):
    """A user's SQL was refused by DuckDB; the text is DuckDB's own, since it names the place."""
