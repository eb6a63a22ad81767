"""Repair before publishing: folding stale windows and damaged lake files again."""

from collections.abc import Iterable

from warehouse.archive.download_log import fold_lake_file
from warehouse.errors import RawDamaged
from warehouse.lake.files import read_rows
from warehouse.lake.fold import is_up_to_date
from warehouse.raw.log import is_readable
from warehouse.schema.tables import LAKE_TABLES, Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import WindowKey


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
    """Fold the windows left by killed runs or by an older version, and return their number.

    A damaged raw file is added to `damaged`, and only its window is skipped. Raises `StorageFailed`.
    """
    listed = folder.with_cached_listings()
    return sum(_fold(folder, table, find_stale_windows(listed, table), damaged) for table in LAKE_TABLES)


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
    while queue:
        account, window = queue.pop()
        try:
            result = fold_lake_file(folder, table, account, window)
        except RawDamaged as error:
            damaged.add(error.key)
            continue
        queue += [(account, other) for other in result.other_windows]
        count += 1
    return count
