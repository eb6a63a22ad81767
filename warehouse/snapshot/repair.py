"""Repair before publishing: folding stale windows and damaged lake files again, and linking records that moved."""

from collections.abc import Iterable

from warehouse.archive.download_log import copy_moved_attempts, fold_lake_file
from warehouse.errors import RawDamaged
from warehouse.lake.due_windows import read_states
from warehouse.lake.files import read_rows
from warehouse.lake.fold import is_up_to_date
from warehouse.lake.links import add_links, read_links
from warehouse.lake.versions import VersionCache
from warehouse.raw.log import is_readable
from warehouse.schema.tables import ARCHIVE_TABLES, FOLDED_TABLES, LAKE_TABLES, Table
from warehouse.snapshot.database import Duplicates
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, WindowKey, window_of_key


def list_raw_windows(folder: DataFolder, table: Table) -> list[WindowKey]:
    """List the windows with raw files of a table, over all accounts."""
    return sorted(
        {
            (account, window)
            for account in folder.accounts()
            for dataset in table.datasets
            for window in folder.raw_windows(dataset, account)
        }
    )


def fold_stale_windows(folder: DataFolder, damaged: set[str]) -> int:
    """Fold the windows left by killed runs, by an older version or by records that moved; return their number.

    A damaged raw file is added to `damaged`, and only its window is skipped. Raises `StorageFailed`.
    """
    count = _fold_stale(folder, FOLDED_TABLES, damaged)
    while _link_moved_records(folder):
        count += _fold_stale(folder, FOLDED_TABLES, damaged)
    listed = folder.with_cached_listings()
    for account in listed.accounts():
        for table in ARCHIVE_TABLES:
            try:
                copy_moved_attempts(listed, table, account)
            except RawDamaged as error:
                damaged.add(error.key)
    return count + _fold_stale(folder, ARCHIVE_TABLES, damaged)


def _fold_stale(folder: DataFolder, tables: Iterable[Table], damaged: set[str]) -> int:
    """Fold the stale windows of some tables, and those that become stale by it, because they share a record."""
    count = 0
    listed = folder.with_cached_listings()
    for table in tables:
        before: list[WindowKey] = []
        # Windows with damaged files remain stale.
        while (stale := find_stale_windows(listed, table)) != before:
            count += _fold(folder, table, stale, damaged)
            if not any(read_links(listed, table, account) for account in listed.accounts()):
                break
            before, listed = stale, folder.with_cached_listings()
    return count


def _link_moved_records(folder: DataFolder) -> bool:
    """Link the records whose versions start in several windows, and return whether any is new."""
    listed = folder.with_cached_listings()
    is_new = False
    for table in FOLDED_TABLES:
        for account in listed.accounts():
            spans: dict[str, frozenset[StorageWindow]] = {}
            for state in read_states(listed, table, account, listed.lake_windows(table.name, account)).values():
                for record_id, keys in state.spans.items():
                    windows = frozenset(map(window_of_key, keys))
                    spans[record_id] = spans.get(record_id, frozenset()) | windows
            is_new |= add_links(folder, table, account, spans)
    return is_new


def link_duplicates(folder: DataFolder, duplicates: Duplicates) -> bool:
    """Link the records that have rows in several windows, and return whether any is new."""
    is_new = [add_links(folder, table, account, links) for (table, account), links in duplicates.items()]
    return any(is_new)


def find_stale_windows(folder: DataFolder, table: Table) -> list[WindowKey]:
    """List the windows whose lake file does not cover all of their raw files."""
    keys = list_raw_windows(folder, table)
    folded = folder.store.map(lambda key: is_up_to_date(folder, table, *key), keys)
    return [key for key, is_current in zip(keys, folded, strict=True) if not is_current]


def refold_damaged(folder: DataFolder, damaged: set[str]) -> int:
    """Fold the windows with a damaged lake file; otherwise like `fold_stale_windows`."""
    return sum(
        _fold(folder, table, [k for k in list_raw_windows(folder, table) if not _is_intact(folder, table, k)], damaged)
        for table in LAKE_TABLES
    )


def find_damaged_raw(folder: DataFolder, keys: Iterable[str]) -> set[str]:
    """Return the raw files that cannot be read completely."""
    return {key for key in keys if not is_readable(folder.store, key)}


def _is_intact(folder: DataFolder, table: Table, key: WindowKey) -> bool:
    return read_rows(folder, table, *key) is not None


def _fold(folder: DataFolder, table: Table, keys: Iterable[WindowKey], damaged: set[str]) -> int:
    queue = list(keys)
    count = 0
    cache: VersionCache = {}
    while queue:
        account, window = queue.pop()
        try:
            result = fold_lake_file(folder, table, account, window, cache)
        except RawDamaged as error:
            damaged.add(error.key)
            continue
        queue += [(account, other) for other in result.other_windows]
        count += 1
    return count
