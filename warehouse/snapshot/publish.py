"""Publishing: one database file that readers can keep open while the next is being made."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from warehouse.errors import PublishedInPart, PublisherBusy, StorageFailed
from warehouse.lake.files import read_fingerprint
from warehouse.progress import ProgressCallback, ignore_progress
from warehouse.schema.tables import FOLDED_TABLES, LAKE_TABLES, PULLS, RAW_SCHEMA, Table
from warehouse.snapshot.database import (
    Fingerprints,
    Snapshot,
    WindowKey,
    count_mart_rows,
    count_rows,
    read_published_windows,
)
from warehouse.snapshot.marts import MartSettings
from warehouse.snapshot.pointer import read_pointer, release, remove_replaced, update_copy
from warehouse.snapshot.repair import (
    find_stale_windows,
    find_unreadable,
    fold_stale_windows,
    fold_unreadable,
    list_raw_windows,
)
from warehouse.storage.atomic_files import create_folder, remove_abandoned, scratch_folder
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow

_DEFAULTS = MartSettings()
_TRIES = 3
DATASETS = tuple(dataset for table in FOLDED_TABLES for dataset in table.datasets)


@dataclass(frozen=True)
class Publication:
    """What a publishing did: rows now in each table and mart, windows replaced in each, windows folded on the way.

    `rebuilt` says that everything was made anew; where nothing had changed, `replaced` counts no window.
    """

    rows: dict[str, int]
    marts: dict[str, int]
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


def publish(
    folder: DataFolder,
    settings: MartSettings = _DEFAULTS,
    *,
    full: bool = False,
    wait_seconds: float = 900,
    watch: ProgressCallback = ignore_progress,
) -> Publication:
    """Bring `warehouse.duckdb` up to the lake, with its marts; with `full`, rebuild it from nothing.

    Publishers queue on a lock. Readers keep the file they opened. Killed at any moment, the last snapshot
    stands. `watch` hears of windows done, and of how many there are. Raises `PublisherBusy`, `StorageFailed`, and
    `PublishedInPart` when it published all but what is in damaged raw files.
    """
    create_folder(folder.root, folder.modes)
    try:
        with hold_publish_lock(folder, wait_seconds=wait_seconds):
            publication = _publish_locked(folder, settings, full=full, watch=watch)
            remove_replaced(folder)
            return publication
    except duckdb.Error as error:
        raise StorageFailed.during("build", folder.snapshot, _find_cause(error)) from error
    except OSError as error:
        raise StorageFailed.during("publish to", folder.snapshot, error) from error


@contextmanager
def hold_publish_lock(folder: DataFolder, *, wait_seconds: float = 900) -> Iterator[None]:
    """Keep other publishers waiting; raises `PublisherBusy` and `StorageFailed`."""
    create_folder(folder.publish_lock.parent, folder.modes)
    lock = FileLock(folder.publish_lock, timeout=wait_seconds, mode=folder.modes.file)
    try:
        lock.acquire()
    except Timeout as error:
        raise PublisherBusy(wait_seconds) from error
    try:
        yield
    finally:
        lock.release()


def _find_cause(error: duckdb.Error) -> OSError:
    """Say as an `OSError` what DuckDB has only words for: it quotes the system's."""
    words = str(error).splitlines()[0]
    number = next(
        (n for n in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS) if os.strerror(n) in words), 0
    )
    return OSError(number, os.strerror(number) if number else words)


def is_stale(folder: DataFolder, settings: MartSettings = _DEFAULTS) -> bool:
    """Say whether the snapshot lacks anything of the raw log or the lake; cheap enough to ask each half minute."""
    seen = folder.with_cached_listings()
    if any(find_stale_windows(seen, table) for table in LAKE_TABLES):
        return True
    target = _read_lake(seen)
    update_copy(folder)
    standing = read_published_windows(folder.snapshot, settings)
    if standing is None:
        return any(target.values())
    return not _make_plan(target, standing).is_empty


def _publish_locked(
    folder: DataFolder, settings: MartSettings, *, full: bool, watch: ProgressCallback
) -> Publication:
    remove_abandoned(folder.root)
    folder.store.remove_abandoned(folder.window_folders())
    damaged: set[str] = set()
    refolded = fold_stale_windows(folder, damaged)
    try:
        publication = _bring_up(folder, settings, damaged, refolded=refolded, full=full, watch=watch)
    except duckdb.Error:
        # What the disk has spoiled of lake or snapshot can be made again; a second refusal is the user's to know.
        ledger = (file for key in _ledger_keys(folder) for file in _raw_files(folder, *key))
        damaged |= find_unreadable(folder, ledger)
        refolded += fold_unreadable(folder, damaged)
        publication = _bring_up(folder, settings, damaged, refolded=refolded, full=True, watch=watch)
    if damaged:
        raise PublishedInPart([folder.store.locate(key) for key in damaged])
    return publication


def _bring_up(
    folder: DataFolder,
    settings: MartSettings,
    damaged: Collection[str],
    *,
    refolded: int,
    full: bool,
    watch: ProgressCallback,
) -> Publication:
    for tries_left in reversed(range(_TRIES)):
        base = read_pointer(folder) if full and folder.bucket else update_copy(folder)
        seen = folder.with_cached_listings()
        target = _read_lake(seen, without=damaged)
        standing = None if full else read_published_windows(folder.snapshot, settings)
        plan = _make_plan(target, standing or {})
        if standing is not None and plan.is_empty:
            break
        with scratch_folder(folder.root, folder.modes) as scratch:
            built = scratch / folder.snapshot.name
            start_over = standing is None
            _build(seen, built, plan, settings=settings, without=damaged, start_over=start_over, watch=watch)
            # Another machine may have published meanwhile: then once more, upon what it made.
            if release(folder, built, expected=base, insist=not tries_left):
                break
    replaced = {table.name: len(plan.came[table]) + len(plan.gone[table]) for table in target}
    return Publication(
        count_rows(folder.snapshot), count_mart_rows(folder.snapshot), replaced, refolded, rebuilt=standing is None
    )


def _build(
    folder: DataFolder,
    path: Path,
    plan: _Plan,
    *,
    settings: MartSettings,
    without: Collection[str],
    start_over: bool,
    watch: ProgressCallback,
) -> None:
    if not start_over:
        shutil.copyfile(folder.snapshot, path)
    with Snapshot(path, spill_folder=path.parent / "spill") as snapshot:
        if start_over:
            snapshot.create()
        done, total = 0, sum(map(len, plan.came.values()))
        for table in plan.came:
            snapshot.replace_windows(table, plan.gone[table], came=plan.came[table])
            files = [
                file for key in plan.came[table] for file in _files(folder, table, key) if file not in without
            ]
            snapshot.insert(table, folder.store.copy_to_local(files, path.parent, _columns_of(table)))
            done += len(plan.came[table])
            watch(done, total)
        snapshot.seal(settings)


def _columns_of(table: Table) -> list[str] | None:
    """Name the columns that a table needs of its files: of raw files all but the bodies, which are large."""
    return [name for name in RAW_SCHEMA.names if name != "body"] if table is PULLS else None


def _files(folder: DataFolder, table: Table, key: WindowKey) -> list[str]:
    account, window = key
    if table is PULLS:
        return _raw_files(folder, account, window)
    return [folder.lake_file(table.name, account, window)]


def _read_lake(folder: DataFolder, *, without: Collection[str] = ()) -> dict[Table, dict[WindowKey, str]]:
    target: dict[Table, dict[WindowKey, str]] = {
        table: {
            (account, window): fingerprint
            for account in folder.accounts()
            for window in folder.lake_windows(table.name, account)
            if (fingerprint := read_fingerprint(folder, table, account, window)) is not None
        }
        for table in LAKE_TABLES
    }
    target[PULLS] = {
        key: _hash_names([file for file in _raw_files(folder, *key) if file not in without])
        for key in _ledger_keys(folder)
    }
    return target


def _ledger_keys(folder: DataFolder) -> list[WindowKey]:
    return sorted({key for table in FOLDED_TABLES for key in list_raw_windows(folder, table)})


def _raw_files(folder: DataFolder, account: str, window: StorageWindow) -> list[str]:
    return [file for dataset in DATASETS for file in folder.raw_files(dataset, account, window)]


def _hash_names(files: Sequence[str]) -> str:
    names = "\n".join(f"{parts[1]}/{parts[-1]}" for parts in (file.split("/") for file in files))
    return hashlib.sha256(names.encode()).hexdigest()


def _make_plan(target: dict[Table, dict[WindowKey, str]], standing: dict[Table, dict[WindowKey, str]]) -> _Plan:
    came = {
        table: {key: now for key, now in windows.items() if standing.get(table, {}).get(key) != now}
        for table, windows in target.items()
    }
    gone = {table: [k for k in standing.get(table, {}) if k not in windows] for table, windows in target.items()}
    return _Plan(dict(came), gone)
