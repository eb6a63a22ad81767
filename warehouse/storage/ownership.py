"""Ownership of files: symbolic links and files of other users are refused.

Another user could make iplum write to a file of its own user, or replace files while iplum uses them. And after a run
as another user, such as root, the files it wrote can no longer be read or replaced.
"""

import os
import shlex
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from warehouse.errors import FolderRefused, StorageFailed

_NAME_FOLDER = "Set IPLUM_DATA or IPLUM_STATE to the folder itself, or replace the link by a folder or file of your own"
_REPLACE_LINK = "Replace the link by the file or folder itself. To use another disk, mount it there"


def get_user() -> int:
    """Return the numeric ID of the user who runs this: 0 on Windows, where all files have the owner 0."""
    return os.geteuid() if hasattr(os, "geteuid") else 0


def require_own(path: Path) -> None:
    """Raise `FolderRefused` if a file or folder exists and is a symlink or belongs to another user."""
    found = _stat(path)
    if found is not None:
        _check(path, found, owner=get_user(), root=path, fix=_NAME_FOLDER)


def require_own_tree(root: Path, names: Collection[str], *, readers: int | None = None) -> None:
    """Raise `FolderRefused` if a folder, or anything in its files and folders `names`, is a symlink or another user's.

    A folder of the group `readers` (a numeric ID) may belong to another user, who then must own everything in it.
    Costs a few microseconds per file.
    """
    found = _stat(root)
    if found is None:
        return
    owner = found.st_uid if readers is not None and found.st_gid == readers else get_user()
    _check(root, found, owner=owner, root=root, fix=_NAME_FOLDER)
    for name in names:
        found = _stat(root / name)
        if found is not None:
            _check(root / name, found, owner=owner, root=root, fix=_REPLACE_LINK)
            if stat.S_ISDIR(found.st_mode):
                for entry, status in _walk(root / name):
                    _check(entry, status, owner=owner, root=root, fix=_REPLACE_LINK)


def _check(path: Path | str, found: os.stat_result, *, owner: int, root: Path, fix: str) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise FolderRefused(f"cannot use {path}", "it is a symbolic link", fix)
    if found.st_uid != owner:
        raise FolderRefused(
            f"cannot use {path}",
            f"it belongs to another user ({_describe_user(found.st_uid)})",
            f"Run as that user, or give all files to this one: sudo chown -R {owner} {shlex.quote(str(root))}",
        )


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageFailed.during("access", path, error) from error


def _walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield each file and folder below a folder with its status. A folder is yielded before it is opened."""
    pending = [str(folder)]
    while pending:
        current = pending.pop()
        try:
            with os.scandir(current) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # a temporary file of another run
                        yield entry.path, entry.stat(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(entry.path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageFailed.during("list the folder", Path(current), error) from error


def _describe_user(uid: int) -> str:
    try:
        import pwd

        return f"{pwd.getpwuid(uid).pw_name}, uid {uid}"
    except (ImportError, KeyError):  # Windows, or a user without an entry
        return f"uid {uid}"
