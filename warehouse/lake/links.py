"""Links: the records with versions in several windows (docs/design.md, "Records in several windows")."""

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType

from warehouse.lake.files import read_table
from warehouse.schema.tables import ARCHIVE_TABLES, TABLES, Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of_key

Links = Mapping[str, frozenset[StorageWindow]]
"""The windows of each linked record, by record ID."""

NO_LINKS: Links = MappingProxyType({})
#: The state of a lake file that lacks versions from a damaged window, so that it is folded again.
DAMAGED = "damaged"


def read_links(folder: DataFolder, table: Table, account: str) -> Links:
    """Read the links of a folded table; empty if there are none, or if the file is damaged.

    A damaged file costs nothing: the next publish finds its records again, because they are then in two lake files.
    """
    key = folder.links_file(table.name, account)
    if not folder.store.exists(key):
        return {}
    return folder.store.load_cached(key, lambda: _load_links(folder, key))


def _load_links(folder: DataFolder, key: str) -> Links:
    try:
        stored = json.loads(b"".join(folder.store.read_chunks(key)))
        return {record_id: frozenset(map(window_of_key, keys)) for record_id, keys in stored.items()}
    except (FileNotFoundError, ValueError, AttributeError, TypeError, RecursionError):
        return {}


def add_links(folder: DataFolder, table: Table, account: str, found: Links) -> bool:
    """Add windows to the links of a table, and return whether any is new; raises `StorageFailed`.

    Only a publisher calls this, under the publishers' lock.
    """
    links = dict(read_links(folder, table, account))
    new = {record_id: windows for record_id, windows in found.items() if not windows <= links.get(record_id, set())}
    if not new:
        return False
    for record_id, windows in new.items():
        links[record_id] = links.get(record_id, frozenset()) | windows
    content = {record_id: sorted(window.key for window in links[record_id]) for record_id in sorted(links)}
    folder.store.write(folder.links_file(table.name, account), json.dumps(content, indent=1).encode())
    return True


def find_siblings(links: Links, window: StorageWindow) -> dict[StorageWindow, set[str]]:
    """Return the other windows that share records with a window, oldest first, each with the shared record IDs."""
    siblings: dict[StorageWindow, set[str]] = {}
    for record_id, windows in links.items():
        if window in windows:
            for sibling in windows - {window}:
                siblings.setdefault(sibling, set()).add(record_id)
    return dict(sorted(siblings.items()))


def describe_links(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> str:
    """Return a hash of everything outside of a window's raw log that its lake file depends on; "" without links.

    For a folded table, these are its linked records and the raw files of their other windows; for an archive table,
    the records that belong to another window.
    """
    if table in ARCHIVE_TABLES:
        lines = sorted(find_moved_records(folder, table, account, window))
    else:
        lines = [
            f"{sibling}/{name}"
            for sibling, ids in find_siblings(read_links(folder, table, account), window).items()
            for name in (*sorted(ids), *list_raw(folder, table, account, sibling))
        ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else ""


def find_moved_records(folder: DataFolder, archive: Table, account: str, window: StorageWindow) -> frozenset[str]:
    """Return the linked records of a window whose row, and so whose content, belongs to another window."""
    source = TABLES[archive.source]
    links = read_links(folder, source, account)
    linked = {record_id for record_id, windows in links.items() if window in windows}
    if not linked:
        return frozenset()
    rows = read_table(folder, source, account, window)
    return frozenset(linked - set(rows["record_id"].to_pylist() if rows is not None else ()))


def list_raw(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> tuple[str, ...]:
    """List the raw files of a window, as `dataset/name`."""
    return tuple(
        f"{dataset}/{name}" for dataset in table.datasets for name in folder.raw_names(dataset, account, window)
    )
