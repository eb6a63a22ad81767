"""Publishing: copying the snapshot, replacing changed windows, and renaming (docs/design.md, "Publishing")."""

import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from warehouse.errors import PublishedInPart, PublisherBusy, SnapshotUnreadable, StorageFailed
from warehouse.lake.files import read_fingerprint
from warehouse.progress import ProgressCallback, ignore_progress
from warehouse.schema.tables import FOLDED_TABLES, LAKE_TABLES, PULLS, RAW_SCHEMA, Table
from warehouse.snapshot.database import (
    Fingerprints,
    Snapshot,
    count_mart_rows,
    count_rows,
    find_foreign_wal,
    has_own_objects,
    has_people,
    read_published_windows,
)
from warehouse.snapshot.marts import MartSettings
from warehouse.snapshot.pointer import read_pointer, remove_superseded, swap_pointer, update_copy
from warehouse.snapshot.repair import (
    find_damaged_raw,
    find_stale_windows,
    fold_stale_windows,
    link_duplicates,
    list_raw_windows,
    refold_damaged,
)
from warehouse.storage.atomic_files import create_folder, remove_abandoned, scratch_folder
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, WindowKey

_DEFAULTS = MartSettings()
_ATTEMPTS = 3
_logger = logging.getLogger("warehouse")
DATASETS = tuple(dataset for table in FOLDED_TABLES for dataset in table.datasets)


@dataclass(frozen=True)
class Publication:
    """The result of a publish: rows in each table and mart, replaced windows per table, and folded windows.

    `rebuilt` is whether everything was rebuilt; without changes, `replaced` counts no window.
    """

    rows: dict[str, int]
    marts: dict[str, int]
    replaced: dict[str, int]
    refolded: int
    rebuilt: bool


@dataclass(frozen=True)
class _Plan:
    """The windows to replace and to remove, per table."""

    to_replace: dict[Table, Fingerprints]
    to_remove: dict[Table, list[WindowKey]]

    @property
    def is_empty(self) -> bool:
        return not any(self.to_replace.values()) and not any(self.to_remove.values())


def publish(
    folder: DataFolder,
    settings: MartSettings = _DEFAULTS,
    *,
    full: bool = False,
    wait_seconds: float = 900,
    on_progress: ProgressCallback = ignore_progress,
) -> Publication:
    """Update `warehouse.duckdb` and its marts from the lake; with `full`, rebuild it.

    Publishers wait for each other on a lock; readers keep the file they opened. If the process is killed, the last
    snapshot is kept. `on_progress` receives the windows done and their total.

    Raises:
        PublisherBusy: Another publisher held the lock for over `wait_seconds`.
        StorageFailed: The disk or bucket failed.
        PublishedInPart: Everything was published except damaged raw files.

    """
    create_folder(folder.root, folder.modes)
    try:
        with hold_publish_lock(folder, wait_seconds=wait_seconds):
            publication = _publish_locked(folder, settings, full=full, on_progress=on_progress)
            remove_superseded(folder)
            return publication
    except duckdb.Error as error:
        raise StorageFailed.during("build", folder.snapshot, _to_os_error(error)) from error
    except OSError as error:
        raise StorageFailed.during("publish to", folder.snapshot, error) from error


@contextmanager
def hold_publish_lock(folder: DataFolder, *, wait_seconds: float = 900) -> Iterator[None]:
    """Hold the publishers' lock; raises `PublisherBusy` and `StorageFailed`."""
    folder.create_locks_folder()
    lock = FileLock(folder.publish_lock, timeout=wait_seconds, mode=folder.modes.file)
    try:
        lock.acquire()
    except Timeout as error:
        raise PublisherBusy(wait_seconds) from error
    try:
        yield
    finally:
        lock.release()


def _to_os_error(error: duckdb.Error) -> OSError:
    """Return the `OSError` that DuckDB's message quotes."""
    words = str(error).splitlines()[0]
    number = next((n for n in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS) if os.strerror(n) in words), 0)
    return OSError(number, os.strerror(number) if number else words)


def is_stale(folder: DataFolder, settings: MartSettings = _DEFAULTS) -> bool:
    """Whether the snapshot lacks anything of the raw log or the lake; cheap enough for every half minute."""
    listed = folder.with_cached_listings()
    if any(find_stale_windows(listed, table) for table in LAKE_TABLES):
        return True
    lake_windows = _read_lake(listed)
    update_copy(folder)
    published_windows = read_published_windows(folder.snapshot, settings)
    if published_windows is None:
        return any(lake_windows.values())
    is_current = _make_plan(lake_windows, published_windows).is_empty
    return not (is_current and has_people(folder.snapshot, settings.people))


def _publish_locked(
    folder: DataFolder, settings: MartSettings, *, full: bool, on_progress: ProgressCallback
) -> Publication:
    remove_abandoned(folder.root)
    _remove_foreign_wal(folder)
    folder.store.remove_abandoned(folder.window_folders())
    damaged: set[str] = set()
    refolded = fold_stale_windows(folder, damaged)
    try:
        publication = _update_snapshot(folder, settings, damaged, refolded=refolded, full=full, on_progress=on_progress)
    except (duckdb.Error, SnapshotUnreadable):
        # Damaged lake files or snapshots can be rebuilt; a second failure is reported.
        damaged |= _find_damaged_raw(folder)
        refolded += refold_damaged(folder, damaged)
        publication = _update_snapshot(folder, settings, damaged, refolded=refolded, full=True, on_progress=on_progress)
    if damaged:
        raise PublishedInPart([folder.store.locate(key) for key in damaged])
    return publication


def _update_snapshot(
    folder: DataFolder,
    settings: MartSettings,
    damaged: set[str],
    *,
    refolded: int,
    full: bool,
    on_progress: ProgressCallback,
) -> Publication:
    attempts_left = _ATTEMPTS
    while True:
        base_pointer = read_pointer(folder) if full and folder.bucket else update_copy(folder)
        listed = folder.with_cached_listings()
        lake_windows = _read_lake(listed, without=damaged)
        published_windows = None if full else read_published_windows(folder.snapshot, settings)
        if published_windows is not None and not has_own_objects(folder.snapshot):
            published_windows = None
        plan = _make_plan(lake_windows, published_windows or {})
        if published_windows is not None and plan.is_empty and has_people(folder.snapshot, settings.people):
            break
        with scratch_folder(folder.root, folder.modes) as scratch:
            built = scratch / folder.snapshot.name
            is_rebuild = published_windows is None
            if not _build(
                listed, built, plan, settings=settings, without=damaged, is_rebuild=is_rebuild, on_progress=on_progress
            ):
                refolded += fold_stale_windows(folder, damaged)
                continue
            # If another machine has published meanwhile, build again on its snapshot.
            attempts_left -= 1
            is_published = swap_pointer(folder, built, expected=base_pointer, overwrite=not attempts_left)
            _remove_foreign_wal(folder)
            if is_published:
                break
    replaced = {table.name: len(plan.to_replace[table]) + len(plan.to_remove[table]) for table in lake_windows}
    return Publication(
        count_rows(folder.snapshot),
        count_mart_rows(folder.snapshot),
        replaced,
        refolded,
        rebuilt=published_windows is None,
    )


def _remove_foreign_wal(folder: DataFolder) -> None:
    """Remove the WAL of a program that opened the snapshot read-write; DuckDB would apply it to every later one."""
    wal = find_foreign_wal(folder.snapshot)
    if wal is not None:
        wal.unlink(missing_ok=True)
        _logger.warning(
            "removed %s: another program opened %s for writing, and its changes are not kept. Open the file read-only.",
            wal,
            folder.snapshot.name,
        )


def build_snapshot(folder: DataFolder, settings: MartSettings, path: Path) -> None:
    """Build a whole snapshot at `path`, and do not publish it.

    Raises `StorageFailed`, and `duckdb.Error` if a raw or lake file is damaged.
    """
    listed = folder.with_cached_listings()
    plan = _make_plan(_read_lake(listed), {})
    _build(listed, path, plan, settings=settings, without=(), is_rebuild=True, on_progress=ignore_progress)


def _find_damaged_raw(folder: DataFolder) -> set[str]:
    return find_damaged_raw(
        folder, (file for key in _list_raw_window_keys(folder) for file in _raw_files(folder, *key))
    )


def _build(
    folder: DataFolder,
    path: Path,
    plan: _Plan,
    *,
    settings: MartSettings,
    without: Collection[str],
    is_rebuild: bool,
    on_progress: ProgressCallback,
) -> bool:
    """Build a snapshot; return False, before its marts, if records were found that have rows in several windows."""
    if not is_rebuild:
        shutil.copyfile(folder.snapshot, path)
    reads = folder.root if folder.bucket is None else path.parent
    with Snapshot(path, spill_folder=path.parent / "spill", reads=reads) as snapshot:
        if is_rebuild:
            snapshot.create()
        done, total = 0, sum(map(len, plan.to_replace.values()))
        for table in plan.to_replace:
            snapshot.replace_windows(table, plan.to_remove[table], to_replace=plan.to_replace[table])
            files = [
                file for key in plan.to_replace[table] for file in _files(folder, table, key) if file not in without
            ]
            snapshot.insert(table, folder.store.copy_to_local(files, path.parent, _columns_of(table)))
            done += len(plan.to_replace[table])
            on_progress(done, total)
        if link_duplicates(folder, snapshot.find_duplicates()):
            return False
        snapshot.finish(settings)
    return True


def _columns_of(table: Table) -> list[str] | None:
    """Return the columns to read from a table's files: raw files without the bodies, which are large."""
    return [name for name in RAW_SCHEMA.names if name != "body"] if table is PULLS else None


def _files(folder: DataFolder, table: Table, key: WindowKey) -> list[str]:
    account, window = key
    if table is PULLS:
        return _raw_files(folder, account, window)
    return [folder.lake_file(table.name, account, window)]


def _read_lake(folder: DataFolder, *, without: Collection[str] = ()) -> dict[Table, dict[WindowKey, str]]:
    lake_windows: dict[Table, dict[WindowKey, str]] = {
        table: {
            (account, window): fingerprint
            for account in folder.accounts()
            for window in folder.lake_windows(table.name, account)
            if (fingerprint := read_fingerprint(folder, table, account, window)) is not None
        }
        for table in LAKE_TABLES
    }
    lake_windows[PULLS] = {
        key: _hash_names([file for file in _raw_files(folder, *key) if file not in without])
        for key in _list_raw_window_keys(folder)
    }
    return lake_windows


def _list_raw_window_keys(folder: DataFolder) -> list[WindowKey]:
    return sorted({key for table in FOLDED_TABLES for key in list_raw_windows(folder, table)})


def _raw_files(folder: DataFolder, account: str, window: StorageWindow) -> list[str]:
    return [file for dataset in DATASETS for file in folder.raw_files(dataset, account, window)]


def _hash_names(files: Sequence[str]) -> str:
    names = "\n".join(f"{parts[1]}/{parts[-1]}" for parts in (file.split("/") for file in files))
    return hashlib.sha256(names.encode()).hexdigest()


def _make_plan(
    lake_windows: dict[Table, dict[WindowKey, str]], published_windows: dict[Table, dict[WindowKey, str]]
) -> _Plan:
    to_replace = {
        table: {key: now for key, now in windows.items() if published_windows.get(table, {}).get(key) != now}
        for table, windows in lake_windows.items()
    }
    to_remove = {
        table: [k for k in published_windows.get(table, {}) if k not in windows]
        for table, windows in lake_windows.items()
    }
    return _Plan(dict(to_replace), to_remove)
