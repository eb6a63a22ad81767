"""Publishing: one database file that readers can keep open while the next is being made.

Belongs here: the publishers' lock, healing windows that a killed run left unfolded, finding what changed, and
copy, replace and rename. Does not belong here: the inside of the file (`snapshot`).
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from warehouse.attempts import fold_attempts
from warehouse.errors import PublisherBusy, StorageFailed
from warehouse.files import make_folder, put_in_place, remove_abandoned, scratch_folder
from warehouse.fold import fold_window, is_folded
from warehouse.lake import read_state
from warehouse.layout import DataFolder
from warehouse.schemas import ARCHIVE_TABLES, FOLDED_TABLES, LAKE_TABLES, PULLS, Table
from warehouse.snapshot import Fingerprints, Snapshot, WindowKey, count_rows, read_standing
from warehouse.windows import StorageWindow

DATASETS = tuple(dataset for table in FOLDED_TABLES for dataset in table.datasets)


@dataclass(frozen=True)
class Publication:
    """What a publishing did: rows now in each table, windows replaced in each, windows folded on the way.

    `rebuilt` says that everything was made anew; where nothing had changed, `replaced` counts no window.
    """

    rows: dict[str, int]
    replaced: dict[str, int]
    refolded: int
    rebuilt: bool


@dataclass(frozen=True)
class _Plan:
    """The windows whose rows are to be exchanged, per table."""

    came: dict[Table, Fingerprints]
    gone: dict[Table, list[WindowKey]]

    @property
    def is_empty(self) -> bool:
        return not any(self.came.values()) and not any(self.gone.values())


def publish(folder: DataFolder, *, full: bool = False, wait_seconds: float = 900) -> Publication:
    """Bring `warehouse.duckdb` up to the lake; with `full`, rebuild it from nothing.

    Publishers queue on a lock. Readers keep the file they opened. Killed at any moment, the last snapshot
    stands. Raises `PublisherBusy`, `StorageFailed`, `RawDamaged`.
    """
    make_folder(folder.root, folder.modes)
    make_folder(folder.publish_lock.parent, folder.modes)
    lock = FileLock(folder.publish_lock, timeout=wait_seconds, mode=folder.modes.file)
    try:
        with lock:
            return _publish_locked(folder, full=full)
    except Timeout as error:
        raise PublisherBusy(wait_seconds) from error
    except duckdb.Error as error:
        raise StorageFailed.during("build", folder.snapshot, _find_cause(error)) from error
    except OSError as error:
        raise StorageFailed.during("publish to", folder.snapshot, error) from error


def _find_cause(error: duckdb.Error) -> OSError:
    """Say as an `OSError` what DuckDB has only words for: it quotes the system's."""
    words = str(error).splitlines()[0]
    number = next(
        (n for n in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS) if os.strerror(n) in words), 0
    )
    return OSError(number, os.strerror(number) if number else words)


def is_behind(folder: DataFolder) -> bool:
    """Say whether the snapshot lacks anything of the raw log or the lake; cheap enough to ask each half minute."""
    if any(not is_folded(folder, table, *key) for table in LAKE_TABLES for key in _raw_windows(folder, table)):
        return True
    target = _read_lake(folder)
    standing = read_standing(folder.snapshot)
    if standing is None:
        return any(target.values())
    return not _make_plan(target, standing).is_empty


def _publish_locked(folder: DataFolder, *, full: bool) -> Publication:
    remove_abandoned(folder.root)
    refolded = _fold_behind(folder)
    target = _read_lake(folder)
    standing = None if full else read_standing(folder.snapshot)
    plan = _make_plan(target, standing or {})
    replaced = {table.name: len(plan.came[table]) + len(plan.gone[table]) for table in target}
    if standing is None or not plan.is_empty:
        with scratch_folder(folder.root, folder.modes) as scratch:
            _build(folder, scratch / folder.snapshot.name, plan, start_over=standing is None)
            put_in_place(scratch / folder.snapshot.name, folder.snapshot, folder.modes)
    return Publication(count_rows(folder.snapshot), replaced, refolded, rebuilt=standing is None)


def _build(folder: DataFolder, path: Path, plan: _Plan, *, start_over: bool) -> None:
    if not start_over:
        shutil.copyfile(folder.snapshot, path)
    with Snapshot(path, spill_folder=path.parent / "spill") as snapshot:
        if start_over:
            snapshot.create()
        for table in plan.came:
            snapshot.replace_windows(table, plan.gone[table], came=plan.came[table])
            snapshot.insert(table, [path for key in plan.came[table] for path in _files(folder, table, key)])
        snapshot.seal()


def _files(folder: DataFolder, table: Table, key: WindowKey) -> list[Path]:
    account, window = key
    if table is PULLS:
        return _raw_files(folder, account, window)
    return [folder.lake_file(table.name, account, window)]


def _fold_behind(folder: DataFolder) -> int:
    """Fold what a run killed before its second look, or an older version of this code, left behind."""
    count = 0
    for table in LAKE_TABLES:
        fold = fold_attempts if table in ARCHIVE_TABLES else fold_window
        queue = [key for key in _raw_windows(folder, table) if not is_folded(folder, table, *key)]
        while queue:
            account, window = queue.pop()
            result = fold(folder, table, account, window)
            queue += [(account, other) for other in result.strays_to]
            count += 1
    return count


def _raw_windows(folder: DataFolder, table: Table) -> list[WindowKey]:
    return sorted(
        {
            (account, window)
            for account in folder.accounts()
            for dataset in table.datasets
            for window in folder.raw_windows(dataset, account)
        }
    )


def _read_lake(folder: DataFolder) -> dict[Table, dict[WindowKey, str]]:
    target: dict[Table, dict[WindowKey, str]] = {
        table: {
            (account, window): state.fingerprint
            for account in folder.accounts()
            for window in folder.lake_windows(table.name, account)
            if (state := read_state(folder, table, account, window)) is not None
        }
        for table in LAKE_TABLES
    }
    keys = {key for table in FOLDED_TABLES for key in _raw_windows(folder, table)}
    target[PULLS] = {key: _hash_names(_raw_files(folder, *key)) for key in sorted(keys)}
    return target


def _raw_files(folder: DataFolder, account: str, window: StorageWindow) -> list[Path]:
    return [path for dataset in DATASETS for path in folder.raw_files(dataset, account, window)]


def _hash_names(paths: Sequence[Path]) -> str:
    names = "\n".join(f"{path.parent.parent.parent.name}/{path.name}" for path in paths)
    return hashlib.sha256(names.encode()).hexdigest()


def _make_plan(target: dict[Table, dict[WindowKey, str]], standing: dict[Table, dict[WindowKey, str]]) -> _Plan:
    came = {
        table: {key: now for key, now in windows.items() if standing.get(table, {}).get(key) != now}
        for table, windows in target.items()
    }
    gone = {table: [k for k in standing.get(table, {}) if k not in windows] for table, windows in target.items()}
    return _Plan(dict(came), gone)
