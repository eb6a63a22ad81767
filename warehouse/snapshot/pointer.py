"""The snapshot in a bucket: each under a name of its own, and a pointer that says which one is published.

A publisher sends its file first and then moves the pointer, so that a reader finds a whole snapshot whenever it
looks, and one that is killed leaves at most a file that nobody names.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from warehouse.archive.media_store import hash_file
from warehouse.errors import NothingPublished, StorageFailed
from warehouse.storage.atomic_files import replace_file, scratch_folder
from warehouse.storage.paths import POINTER, SNAPSHOTS, DataFolder

# A reader that has begun to read a snapshot that is no longer named has so long to end.
_GRACE = timedelta(hours=1)
_TRIES = 3
_TIME = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """What is published: the `snapshot`'s key, its size and hash, and when it was built (ISO 8601, UTC)."""

    snapshot: str
    bytes: int
    sha256: str
    published_at: str

    @property
    def stamp(self) -> int:
        """What tells the local copy of this snapshot from others: the time of modification that it is given."""
        return int(datetime.fromisoformat(self.published_at).timestamp() * 1_000_000) * 1_000


def read_pointer(folder: DataFolder) -> Pointer | None:
    """Read which snapshot a bucket publishes; None where there is none yet. Raises `StorageFailed`."""
    try:
        content = b"".join(folder.store.read_chunks(POINTER))
    except FileNotFoundError:
        return None
    try:
        fields = json.loads(content)
        return Pointer(**{name: fields[name] for name in Pointer.__dataclass_fields__})
    except (ValueError, KeyError, TypeError) as error:
        place = folder.store.locate(POINTER)
        raise StorageFailed(
            f"cannot read {place}", "it is not a snapshot pointer", "Delete it, then run 'iplum publish'"
        ) from error


def fetch_snapshot(folder: DataFolder) -> Path:
    """Give the published snapshot as a file of this machine, fetched where the bucket has a newer one.

    Raises `NothingPublished` and `StorageFailed`.
    """
    path = find_snapshot(folder)
    if path is None:
        raise NothingPublished(folder.published)
    return path


def find_snapshot(folder: DataFolder) -> Path | None:
    """Give the same, and None where nothing is published; raises `StorageFailed`."""
    update_copy(folder)
    return folder.snapshot if folder.snapshot.is_file() else None


def update_copy(folder: DataFolder) -> Pointer | None:
    """Bring this machine's copy up to the pointer, and say what that is; None without one.

    Without a pointer, or with one that names what isn't there, there is no copy either. Raises `StorageFailed`.
    """
    if folder.bucket is None:
        return None
    pointer = read_pointer(folder)
    for _ in range(_TRIES):
        if pointer is None or _is_copy(folder.snapshot, pointer):
            break
        try:
            _download(folder, pointer)
        except FileNotFoundError:
            pointer = read_pointer(folder)  # it has moved on, and what it named is deleted
    if pointer is None or not _is_copy(folder.snapshot, pointer):
        folder.snapshot.unlink(missing_ok=True)
    return pointer


def release(folder: DataFolder, built: Path, *, expected: Pointer | None, insist: bool) -> bool:
    """Publish a finished file that was built upon what `expected` names; False where another publisher was faster.

    With `insist` the other's snapshot is replaced all the same: what it had beyond this one is then missing until
    the next publishing, which finds the difference. Raises `StorageFailed` and `OSError`.
    """
    if folder.bucket is None:
        replace_file(built, folder.snapshot, folder.modes)
        return True
    pointer = _describe(built)
    folder.store.move_in(built, pointer.snapshot)
    if not insist and read_pointer(folder) != expected:
        folder.store.remove(pointer.snapshot)
        return False
    folder.store.write(POINTER, json.dumps(asdict(pointer), indent=1).encode())
    _keep_copy(folder, built, pointer)
    return True


def remove_replaced(
    folder: DataFolder, *, grace: timedelta = _GRACE, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> None:
    """Delete the snapshots of a bucket that were replaced so long ago, and those that killed publishers left."""
    if folder.bucket is None:
        return
    pointer = read_pointer(folder)
    keys = sorted(folder.store.list_keys(SNAPSHOTS))
    for key, successor in pairwise(keys):
        if pointer is not None and key != pointer.snapshot and now() - _read_time(successor) >= grace:
            folder.store.remove(key)


def _describe(built: Path) -> Pointer:
    digest, size = hash_file(built)
    at = datetime.now(UTC)
    name = f"{SNAPSHOTS}/{at:{_TIME}}-{uuid.uuid4().hex[:8]}.duckdb"
    return Pointer(snapshot=name, bytes=size, sha256=digest, published_at=at.isoformat())


def _read_time(key: str) -> datetime:
    return datetime.strptime(key.rpartition("/")[2].partition("-")[0], _TIME).replace(tzinfo=UTC)


def _is_copy(path: Path, pointer: Pointer) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return (found.st_size, found.st_mtime_ns) == (pointer.bytes, pointer.stamp)


def _download(folder: DataFolder, pointer: Pointer) -> None:
    try:
        with scratch_folder(folder.root, folder.modes) as scratch:
            path = scratch / folder.snapshot.name
            with path.open("wb") as file:
                file.writelines(folder.store.read_chunks(pointer.snapshot))
            if hash_file(path)[0] != pointer.sha256:
                place = folder.store.locate(pointer.snapshot)
                raise StorageFailed(f"cannot read {place}", "its hash is wrong", "Run 'iplum publish --full'")
            _keep_copy(folder, path, pointer)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageFailed.during("write", folder.snapshot, error) from error


def _keep_copy(folder: DataFolder, path: Path, pointer: Pointer) -> None:
    os.utime(path, ns=(pointer.stamp, pointer.stamp))
    replace_file(path, folder.snapshot, folder.modes)
