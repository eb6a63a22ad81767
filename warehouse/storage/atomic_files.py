"""Writing files so that a reader or a crash never sees half of one."""

from __future__ import annotations

import os
import shutil
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


@dataclass(frozen=True)
class Modes:
    """Who may read what is written: the owner alone, or also one group (`group`, a numeric id)."""

    group: int | None = None

    @property
    def file(self) -> int:
        """The mode of a file."""
        return 0o600 if self.group is None else 0o640

    @property
    def folder(self) -> int:
        """The mode of a folder."""
        return 0o700 if self.group is None else 0o750


def make_folder(path: Path, modes: Modes) -> None:
    """Make a folder and the parents it lacks, private from the start; raises `StorageFailed`."""
    try:
        if path.is_dir():
            return
    except OSError as error:  # a folder above it may not be entered
        raise StorageFailed.during("reach the folder", path, error) from error
    make_folder(path.parent, modes)
    try:
        path.mkdir(mode=modes.folder, exist_ok=True)
        path.chmod(modes.folder)  # the umask may have taken the group's bits away
        _hand_over(path, modes)
        _sync_folder(path.parent)
    except OSError as error:
        raise StorageFailed.during("make the folder", path, error) from error


def write_file(path: Path, content: bytes | memoryview, modes: Modes) -> None:
    """Put a whole file in place at once, durable when this returns; raises `StorageFailed`.

    A reader sees the old file or the new one, and after a power cut one of the two is there.
    """
    make_folder(path.parent, modes)
    temporary = _temporary_beside(path)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, modes.file)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        put_in_place(temporary, path, modes)
    except OSError as error:
        raise StorageFailed.during("write", path, error) from error
    finally:
        with suppress(OSError):  # what refused the write says more
            temporary.unlink(missing_ok=True)


def open_temporary(path: Path, modes: Modes) -> tuple[Path, BinaryIO]:
    """Open a new private file beside `path`, to be written and put in place; raises `StorageFailed`."""
    temporary = _temporary_beside(path)
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, modes.file)
    except OSError as error:
        raise StorageFailed.during("write", path, error) from error
    return temporary, os.fdopen(descriptor, "w+b")


def put_in_place(temporary: Path, path: Path, modes: Modes) -> None:
    """Sync a finished file and rename it to `path`, durable when this returns; raises `OSError`."""
    temporary.chmod(modes.file)
    _hand_over(temporary, modes)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def remove_file(path: Path) -> None:
    """Remove a file for good, durable when this returns; raises `StorageFailed`, but not for one that is gone."""
    try:
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            _sync_folder(path.parent)
    except OSError as error:
        raise StorageFailed.during("remove", path, error) from error


@contextmanager
def scratch_folder(parent: Path, modes: Modes) -> Iterator[Path]:
    """Lend a folder on the same filesystem that nobody else can read, removed afterwards with what is in it."""
    make_folder(parent, modes)
    folder = _temporary_beside(parent / "any")
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(folder: Path, *, now: Callable[[], float] = time.time) -> None:
    """Remove the temporary files and folders that a killed run left in `folder`, once they are a day old."""
    for path in folder.glob(f"{_TEMPORARY_PREFIX}*"):
        try:
            abandoned = now() - path.stat().st_mtime > _ABANDONED_AFTER_SECONDS
        except FileNotFoundError:
            continue  # its owner finished in this moment
        if abandoned and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif abandoned:
            path.unlink(missing_ok=True)


def _temporary_beside(path: Path) -> Path:
    return path.with_name(f"{_TEMPORARY_PREFIX}{uuid.uuid4().hex}")


def _hand_over(path: Path, modes: Modes) -> None:
    if modes.group is not None:
        os.chown(path, -1, modes.group)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
