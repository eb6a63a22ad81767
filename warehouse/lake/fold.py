"""Folding: merging the raw responses of a window into its lake file (docs/design.md, "Folding a window")."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import pyarrow as pa

from warehouse.errors import RawDamaged
from warehouse.lake.columns import to_frame, to_lake_rows
from warehouse.lake.derive import derive_columns
from warehouse.lake.files import WindowState, fold_version, read_state, read_table, write_lake_file
from warehouse.lake.lenient_parser import is_implausible
from warehouse.lake.links import DAMAGED, NO_LINKS, Links, describe_links, find_siblings, list_raw, read_links
from warehouse.lake.merge import count_lost_values, find_spans, merge_linked, merge_window, sort_rows
from warehouse.lake.normalize import CONFLICTS, UNREAD, NormalizedResponse
from warehouse.lake.out_of_window import copy_out_of_window_records
from warehouse.lake.presence import compute_origins, find_complete_pulls
from warehouse.lake.versions import (
    VersionCache,
    WindowVersions,
    collect_callbacks,
    collect_versions,
    filter_by_id,
    read_callbacks,
    read_linked_versions,
    read_responses,
)
from warehouse.raw.log import RawLog, RawResponse
from warehouse.schema.tables import Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow

_SHOWN_POSITIONS = 5


@dataclass(frozen=True)
class FoldResult:
    """The result of folding a window.

    `new` and `changed` count rows compared with the lake file before, whose state is `before`. `other_windows` are
    windows whose raw log received records of this one's responses; they must be folded too.
    """

    state: WindowState
    new: int
    changed: int
    other_windows: frozenset[StorageWindow]
    before: WindowState | None = None


def is_up_to_date(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> bool:
    """Whether the lake file covers all raw files of a window and its links, with the current fold version."""
    state = read_state(folder, table, account, window)
    return (
        state is not None
        and state.version == fold_version(table)
        and state.folded == list_raw(folder, table, account, window)
        and state.linked == describe_links(folder, table, account, window)
    )


def fold_window(
    folder: DataFolder, table: Table, account: str, window: StorageWindow, cache: VersionCache | None = None
) -> FoldResult:
    """Fold a window: update its lake file, and copy out-of-window records to their own windows.

    Safe next to other runs without a lock: after writing, the raw files are listed again, and if there are more,
    the window is folded again (docs/design.md, "No locks between runs"). `cache` is shared by the folds of one
    publish. Raises `StorageFailed` and `RawDamaged`.
    """
    before, state_before = read_table(folder, table, account, window), read_state(folder, table, account, window)
    other_windows: set[StorageWindow] = set()
    while True:
        rows, state = _merge_raw(folder, table, account, window, copied_to=other_windows, cache=cache)
        write_lake_file(folder, table, account, window, rows=to_lake_rows(rows, table), state=state)
        if state.linked == DAMAGED or is_up_to_date(folder, table, account, window):
            new, changed = _count_changes(before, rows, table)
            del rows
            # Release the memory of a large window before the next one.
            pa.default_memory_pool().release_unused()
            return FoldResult(state, new, changed, frozenset(other_windows), state_before)


def compute_rows(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> pa.Table:
    """Compute a window's rows from its raw files, as its lake file should hold them; raises `RawDamaged`."""
    rows, _ = _merge_raw(folder, table, account, window)
    return to_lake_rows(rows, table)


def count_nulled(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> int:
    """Count the rows with a value that the newest pulled version of the record no longer has; raises `RawDamaged`."""
    named, bodies = read_responses(folder, table, account, window, list_raw(folder, table, account, window))
    versions = collect_versions([response for _, response in named], bodies, table, window).rows
    return count_lost_values(versions[versions["pulled"]], table)


def merge(
    own: WindowVersions, table: Table, *, siblings: Sequence[WindowVersions] = (), links: Links = NO_LINKS
) -> pd.DataFrame:
    """Merge the versions of a window, and those of its linked records in other windows, into its rows.

    Returns the columns of the lake schema, `unread` and `conflicts`, sorted by start and record ID.
    """
    linked = {record_id for record_id, windows in links.items() if own.window in windows}
    unlinked = replace(own, rows=filter_by_id(own.rows, linked, invert=True)) if linked else own
    rows = merge_window(unlinked)
    if linked:
        rows = pd.concat([rows, merge_linked([own, *siblings], linked, table, own.window)], ignore_index=True)
    rows = sort_rows(rows, table, own.window)
    return derive_columns(rows.assign(origin=compute_origins(rows)), table)


def _merge_raw(
    folder: DataFolder,
    table: Table,
    account: str,
    window: StorageWindow,
    *,
    copied_to: set[StorageWindow] | None = None,
    cache: VersionCache | None = None,
) -> tuple[pd.DataFrame, WindowState]:
    """Merge the raw files of a window, and of its links, into rows and their state.

    With `copied_to`, out-of-window records are copied to their own windows, which are added to it.
    """
    linked = describe_links(folder, table, account, window)
    listing = list_raw(folder, table, account, window)
    named, bodies = read_responses(folder, table, account, window, listing)
    if copied_to is not None:
        log = RawLog(folder, account, table.datasets[0])
        copied_to |= copy_out_of_window_records(log, window, table, responses=named, bodies=bodies)
    # Keeping only the rows of each body halves the memory of a large window.
    responses = [replace(response, body=None) for _, response in named]
    bodies = {digest: replace(body, records=()) for digest, body in bodies.items()}
    del named
    callbacks = collect_callbacks(read_callbacks(folder, table, account, window, listing), table)
    own = collect_versions(responses, bodies, table, window, callbacks=callbacks)
    links = read_links(folder, table, account)
    siblings = []
    versions_read: VersionCache = {} if cache is None else cache
    for sibling, ids in find_siblings(links, window).items():
        sibling_listing = list_raw(folder, table, account, sibling)
        try:
            siblings.append(
                read_linked_versions(
                    folder, table, account, sibling, listing=sibling_listing, ids=ids, cache=versions_read
                )
            )
        except RawDamaged:
            # Reported for the window itself. The others' records do not wait for it.
            linked = DAMAGED
    rows = merge(own, table, siblings=siblings, links=links)
    state = _build_state(rows, responses, bodies, table=table, window=window, listing=listing)
    spans = find_spans([own, *siblings], table, links)
    return rows, replace(state, linked=linked, spans=spans)


def _build_state(
    rows: pd.DataFrame,
    responses: Sequence[RawResponse],
    bodies: Mapping[str, NormalizedResponse],
    *,
    table: Table,
    window: StorageWindow,
    listing: tuple[str, ...],
) -> WindowState:
    pulled = [response for response in responses if response.is_own]
    whole = [r for r in pulled if (r.request_start, r.request_end) == (window.start, window.end)]
    complete = find_complete_pulls(pulled, window)
    unreadable = _list_unreadable(pulled, bodies)
    return WindowState(
        version=fold_version(table),
        folded=listing,
        complete_at=complete[-1].at if complete else None,
        audited_at=max((pull.at for pull in complete if pull.is_audit), default=None),
        complete_types={name: pull.at for pull in complete for name in sorted(pull.usage_types or ())},
        refused_at=max((r.pulled_at for r in pulled if r.rows is None and r.usage_types is None), default=None),
        refused_types={r.usage_types: r.pulled_at for r in pulled if r.rows is None and r.usage_types},
        largest_answer=max((response.rows or 0 for response in whole), default=0),
        rows=len(rows),
        unreadable=len(unreadable),
        unreadable_at=tuple(position + 1 for position in unreadable[:_SHOWN_POSITIONS]),
        unread=int(rows[UNREAD].count()),
        absent=int(rows["absent_since"].count()),
        conflicts=int(rows[CONFLICTS].count()),
        implausible=sum(map(is_implausible, rows[UNREAD].dropna())),
        missing_fields=_find_missing_fields(pulled, bodies, table),
    )


def _find_missing_fields(
    pulled: Sequence[RawResponse], bodies: Mapping[str, NormalizedResponse], table: Table
) -> tuple[str, ...]:
    """Return the documented fields that no record of the window's responses has; none without records."""
    digests = {response.body_sha256 or "" for response in pulled} & bodies.keys()
    fields = frozenset[str]().union(*(bodies[digest].fields for digest in digests))
    return tuple(c.field for c in table.vendor_columns if c.field and c.field not in fields) if fields else ()


def _list_unreadable(pulled: Sequence[RawResponse], bodies: Mapping[str, NormalizedResponse]) -> list[int]:
    """List the positions of the unreadable records in each response of the latest pull.

    They have no IDs, so those of several pulls cannot be distinguished.
    """
    parts = [r for r in pulled if r.pull_id == pulled[-1].pull_id and r.body_sha256 in bodies]
    widest = max((part.request_end - part.request_start for part in parts), default=None)
    latest = {
        part.body_sha256: bodies[part.body_sha256].unreadable
        for part in parts
        if part.body_sha256 and (part.reason != "halves" or part.request_end - part.request_start == widest)
    }
    return [position for positions in latest.values() for position in positions]


def _count_changes(before: pa.Table | None, rows: pd.DataFrame, table: Table) -> tuple[int, int]:
    """Count the new and the changed rows, by their vendor columns."""
    if before is None or not len(before):
        return len(rows), 0
    names = [column.name for column in table.vendor_columns]
    old, now = to_frame(before.select(names)).set_index("record_id"), rows[names].set_index("record_id")
    known = now[now.index.isin(old.index)]
    old = old.loc[known.index]
    is_same = known.eq(old).fillna(False) | (known.isna() & old.isna())
    return len(now) - len(known), int((~is_same.all(axis="columns")).sum())
