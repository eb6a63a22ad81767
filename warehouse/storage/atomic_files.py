"""Atomic, durable and private writes of local files."""

import errno
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from warehouse.errors import StorageFailed

_TEMPORARY_PREFIX = ".tmp-"
_ABANDONED_AFTER_SECONDS = 24 * 3600
# What a filesystem without modes or without a sync of folders responds.
_UNSUPPORTED = frozenset({errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


@dataclass(frozen=True)
class Modes:
    """File modes: readable by the owner only, or also by one group (`group`, a numeric ID)."""

    group: int | None = None

    @property
    def file(self) -> int:
        """The mode of a file."""
        return 0o600 if self.group is None else 0o640

    @property
    def folder(self) -> int:
        """The mode of a folder."""
        return 0o700 if self.group is None else 0o750


def create_folder(path: Path, modes: Modes) -> None:
    """Create a folder and its missing parents with private modes; raises `StorageFailed`."""
    try:
        if path.is_dir():
            return
    except OSError as error:  # a parent folder may not be entered
        raise StorageFailed.during("access the folder", path, error) from error
    create_folder(path.parent, modes)
    try:
        path.mkdir(mode=modes.folder, exist_ok=True)
        _set_mode(path, modes.folder)  # the umask may have taken the group's bits away
        _set_group(path, modes)
        _sync_folder(path.parent)
    except OSError as error:
        raise StorageFailed.during("create the folder", path, error) from error


def write_file(path: Path, content: bytes | memoryview, modes: Modes) -> None:
    """Write a whole file atomically and durably; raises `StorageFailed`.

    A reader, or a restart after a crash, sees the old file or the new one.
    """
    create_folder(path.parent, modes)
    temporary, file = open_temporary(path, modes)
    try:
        with file:
            file.write(content)
        replace_file(temporary, path, modes)
    except OSError as error:
        raise StorageFailed.during("write", path, error) from error
    finally:
        with suppress(OSError):  # the error of the write is more useful
            temporary.unlink(missing_ok=True)


def open_temporary(path: Path, modes: Modes) -> tuple[Path, BinaryIO]:
    """Open a new private file next to `path`, for `replace_file`; raises `StorageFailed`."""
    temporary = path.with_name(f"{_TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, modes.file)
    except OSError as error:
        raise StorageFailed.during("write", path, error) from error
    return temporary, os.fdopen(descriptor, "w+b")


def replace_file(temporary: Path, path: Path, modes: Modes) -> None:
    """Sync a finished temporary file and rename it to `path`, durably; raises `OSError`."""
    _set_mode(temporary, modes.file)
    _set_group(temporary, modes)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def remove_file(path: Path) -> None:
    """Remove a file durably, if it exists; raises `StorageFailed`."""
    try:
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            _sync_folder(path.parent)
    except OSError as error:
        raise StorageFailed.during("remove", path, error) from error


@contextmanager
def scratch_folder(parent: Path, modes: Modes) -> Iterator[Path]:
    """Yield a private folder on the same filesystem as `parent`, and remove it with its contents afterwards."""
    create_folder(parent, modes)
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY_PREFIX, dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def remove_abandoned(folder: Path, *, now: Callable[[], float] = time.time) -> None:
    """Remove temporary files and folders that a killed run left in `folder`, once they are a day old."""
    for path in folder.glob(f"{_TEMPORARY_PREFIX}*"):
        try:
            abandoned = now() - path.stat().st_mtime > _ABANDONED_AFTER_SECONDS
        except FileNotFoundError:
            continue  # its owner has just finished
        if abandoned and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif abandoned:
            path.unlink(missing_ok=True)


def _set_group(path: Path, modes: Modes) -> None:
    if modes.group is not None:
        os.chown(path, -1, modes.group)


def _set_mode(path: Path, mode: int) -> None:
    """Set a mode where the filesystem has modes: FAT and some network shares do not."""
    try:
        path.chmod(mode)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def _sync_folder(path: Path) -> None:
    """Sync a folder where the system allows it: Windows cannot open folders, and some filesystems cannot sync them."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)
