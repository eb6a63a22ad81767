"""The snapshot in a bucket: each has its own name, and a pointer names the published one.

A publisher uploads its file before it moves the pointer, so readers always find a complete snapshot.
"""

import json
import os
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from warehouse.errors import NothingPublished, StorageFailed
from warehouse.storage.atomic_files import replace_file, scratch_folder
from warehouse.storage.hashing import hash_file
from warehouse.storage.paths import POINTER, SNAPSHOTS, DataFolder

# Time for readers of a replaced snapshot to finish.
_GRACE = timedelta(hours=1)
_TRIES = 3
_TIME = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """The published snapshot: its key, size, hash, and build time (ISO 8601, UTC)."""

    snapshot: str
    bytes: int
    sha256: str
    published_at: str

    @property
    def mtime(self) -> int:
        """The modification time (ns) of this snapshot's local copy, which identifies it."""
        return int(datetime.fromisoformat(self.published_at).timestamp() * 1_000_000) * 1_000


def read_pointer(folder: DataFolder) -> Pointer | None:
    """Read a bucket's pointer; None if nothing is published. Raises `StorageFailed`."""
    try:
        content = b"".join(folder.store.read_chunks(POINTER))
    except FileNotFoundError:
        return None
    try:
        fields = json.loads(content)
        return Pointer(**{name: fields[name] for name in Pointer.__dataclass_fields__})
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        place = folder.store.locate(POINTER)
        raise StorageFailed(
            f"cannot read {place}", "it is not a snapshot pointer", "Delete it, then run 'iplum publish'"
        ) from error


def fetch_snapshot(folder: DataFolder) -> Path:
    """Return a local path of the published snapshot, downloaded if the bucket has a newer one.

    Raises `NothingPublished` and `StorageFailed`.
    """
    path = find_snapshot(folder)
    if path is None:
        place = folder.published
        raise NothingPublished(
            f"there is no warehouse at {place} yet", fix="Run 'iplum sync' (or 'iplum publish') first"
        )
    return path


def find_snapshot(folder: DataFolder) -> Path | None:
    """Return a local path of the published snapshot, or None if nothing is published; raises `StorageFailed`."""
    update_copy(folder)
    return folder.snapshot if folder.snapshot.is_file() else None


def update_copy(folder: DataFolder) -> Pointer | None:
    """Update the local copy of the snapshot, and return its pointer, or None if nothing is published.

    Without a pointer, or if its file is missing, the copy is removed. Raises `StorageFailed`.
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
            pointer = read_pointer(folder)  # the pointer has moved and its old file is removed
    if pointer is None or not _is_copy(folder.snapshot, pointer):
        folder.snapshot.unlink(missing_ok=True)
    return pointer


def swap_pointer(folder: DataFolder, built: Path, *, expected: Pointer | None, overwrite: bool) -> bool:
    """Publish a finished file that is based on `expected`; return False if another publisher was faster.

    With `overwrite`, the other's snapshot is replaced nevertheless: what it added is missing until the next
    publish, which finds the difference. Raises `StorageFailed` and `OSError`.
    """
    if folder.bucket is None:
        replace_file(built, folder.snapshot, folder.modes)
        return True
    pointer = _build_pointer(built)
    folder.store.move_in(built, pointer.snapshot)
    if not overwrite and read_pointer(folder) != expected:
        folder.store.remove(pointer.snapshot)
        return False
    folder.store.write(POINTER, json.dumps(asdict(pointer), indent=1).encode())
    _replace_copy(folder, built, pointer)
    return True


def remove_superseded(
    folder: DataFolder, *, grace: timedelta = _GRACE, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> None:
    """Remove a bucket's snapshots that were replaced over `grace` ago, or left by killed publishers."""
    if folder.bucket is None:
        return
    pointer = read_pointer(folder)
    keys = sorted(folder.store.list_keys(SNAPSHOTS))
    for key, successor in pairwise(keys):
        if pointer is not None and key != pointer.snapshot and now() - _parse_time(successor) >= grace:
            folder.store.remove(key)


def _build_pointer(built: Path) -> Pointer:
    digest, size = hash_file(built)
    at = datetime.now(UTC)
    name = f"{SNAPSHOTS}/{at:{_TIME}}-{uuid.uuid4().hex[:8]}.duckdb"
    return Pointer(snapshot=name, bytes=size, sha256=digest, published_at=at.isoformat())


def _parse_time(key: str) -> datetime:
    return datetime.strptime(key.rpartition("/")[2].partition("-")[0], _TIME).replace(tzinfo=UTC)


def _is_copy(path: Path, pointer: Pointer) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return (found.st_size, found.st_mtime_ns) == (pointer.bytes, pointer.mtime)


def _download(folder: DataFolder, pointer: Pointer) -> None:
    try:
        with scratch_folder(folder.root, folder.modes) as scratch:
            path = scratch / folder.snapshot.name
            with path.open("wb") as file:
                file.writelines(folder.store.read_chunks(pointer.snapshot))
            if hash_file(path)[0] != pointer.sha256:
                place = folder.store.locate(pointer.snapshot)
                raise StorageFailed(f"cannot read {place}", "its hash is wrong", "Run 'iplum publish --full'")
            _replace_copy(folder, path, pointer)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageFailed.during("write", folder.snapshot, error) from error


def _replace_copy(folder: DataFolder, path: Path, pointer: Pointer) -> None:
    os.utime(path, ns=(pointer.mtime, pointer.mtime))
    replace_file(path, folder.snapshot, folder.modes)
