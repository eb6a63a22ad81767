"""Folding: merging the raw responses of a window into its lake file (docs/design.md, "Folding a window")."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import pyarrow as pa

from warehouse.lake.derive import derive_columns
from warehouse.lake.files import WindowState, fold_version, read_rows, read_state, write_lake_file
from warehouse.lake.merge import collect_callback_records, merge_versions, sort_rows
from warehouse.lake.normalize import UNREAD, NormalizedResponse, normalize_response
from warehouse.lake.out_of_window import copy_out_of_window_records
from warehouse.lake.presence import add_seen_times, compute_absences, compute_origins, find_complete_pulls
from warehouse.raw.log import RawLog, RawResponse
from warehouse.schema.tables import Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow


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


def list_raw(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> tuple[str, ...]:
    """List the raw files of a window, as `dataset/name`."""
    return tuple(
        f"{dataset}/{name}" for dataset in table.datasets for name in RawLog(folder, account, dataset).names(window)
    )


def is_up_to_date(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> bool:
    """Whether the lake file covers all raw files of a window, with the current fold version."""
    state = read_state(folder, table, account, window)
    return (
        state is not None
        and state.version == fold_version(table)
        and state.folded == list_raw(folder, table, account, window)
    )


def fold_window(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> FoldResult:
    """Fold a window: update its lake file, and copy out-of-window records to their own windows.

    Safe next to other runs without a lock: after writing, the raw files are listed again, and if there are more,
    the window is folded again (docs/design.md, "No locks between runs"). Raises `StorageFailed` and `RawDamaged`.
    """
    before, state_before = read_rows(folder, table, account, window), read_state(folder, table, account, window)
    other_windows: set[StorageWindow] = set()
    while True:
        listing = list_raw(folder, table, account, window)
        rows, state = _merge_raw(folder, table, account, window, listing=listing, copied_to=other_windows)
        write_lake_file(folder, table, account, window, rows=rows, state=state)
        if list_raw(folder, table, account, window) == listing:
            new, changed = _count_changes(before, rows, table)
            del rows
            # Release the memory of a large window before the next one.
            pa.default_memory_pool().release_unused()
            return FoldResult(state, new, changed, frozenset(other_windows), state_before)


def compute_rows(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> pa.Table:
    """Compute a window's rows from its raw files, as its lake file should hold them; raises `RawDamaged`."""
    rows, _ = _merge_raw(folder, table, account, window, listing=list_raw(folder, table, account, window))
    return rows.select(table.lake_schema.names).cast(table.lake_schema)


def merge_responses(
    responses: Sequence[RawResponse],
    bodies: Mapping[str, NormalizedResponse],
    table: Table,
    window: StorageWindow,
    *,
    callbacks: pa.Table | None = None,
) -> pa.Table:
    """Merge responses and callbacks into the rows of a window.

    Records are joined by ID; the newest version wins field by field, null never wins, and a callback never wins
    over a pull. `bodies` holds the records of each body by its hash. The result has the columns of the lake schema
    and `unread`, is sorted by start and record ID, and does not depend on the order of `responses`.
    """
    by_body: dict[str, list[RawResponse]] = {}
    for response in sorted(responses, key=lambda response: (response.pulled_at, response.body_sha256 or "")):
        digest = response.body_sha256 or ""
        if digest in bodies:
            # Removed and inserted again, bodies are ordered by their latest response.
            by_body[digest] = [*by_body.pop(digest, []), response]
    versions = [
        add_seen_times(bodies[digest].rows, of_body) for digest, of_body in by_body.items() if len(bodies[digest].rows)
    ]
    if callbacks is not None:
        versions.insert(0, callbacks.sort_by("last_seen_at"))
    if not versions:
        return table.lake_schema.empty_table().append_column(UNREAD, pa.nulls(0, pa.string()))
    rows = sort_rows(merge_versions(pa.concat_tables(versions)), table, window)
    rows = rows.append_column("origin", compute_origins(rows))
    rows = rows.append_column("absent_since", compute_absences(rows, find_complete_pulls(responses, window)))
    return derive_columns(rows, table)


def _merge_raw(
    folder: DataFolder,
    table: Table,
    account: str,
    window: StorageWindow,
    *,
    listing: tuple[str, ...],
    copied_to: set[StorageWindow] | None = None,
) -> tuple[pa.Table, WindowState]:
    """Merge the listed raw files into rows and their state.

    With `copied_to`, out-of-window records are copied to their own windows, which are added to it.
    """
    log = RawLog(folder, account, table.datasets[0])
    named = sorted(log.read(window, _select_names(log.dataset, listing)), key=lambda pair: pair[1].pulled_at)
    texts = {response.body_sha256: response.body for _, response in named if response.body is not None}
    bodies = {digest: normalize_response(body, table) for digest, body in texts.items() if digest and body}
    if copied_to is not None:
        copied_to |= copy_out_of_window_records(log, window, table, responses=named, bodies=bodies)
    # Keeping only the rows of each body halves the memory of a large window.
    responses = [replace(response, body=None) for _, response in named]
    bodies = {digest: replace(body, records=()) for digest, body in bodies.items()}
    del named, texts
    # Read file by file: a busy window has many thousands of callbacks.
    events = (
        event
        for dataset in table.datasets[1:]
        for name in _select_names(dataset, listing)
        for _, event in RawLog(folder, account, dataset).read(window, [name])
    )
    callbacks = collect_callback_records(events, table)
    rows = merge_responses(responses, bodies, table, window, callbacks=callbacks)
    return rows, _build_state(rows, responses, bodies, table=table, window=window, listing=listing)


def _select_names(dataset: str, listing: Sequence[str]) -> list[str]:
    return [entry.partition("/")[2] for entry in listing if entry.startswith(f"{dataset}/")]


def _build_state(
    rows: pa.Table,
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
    return WindowState(
        version=fold_version(table),
        folded=listing,
        complete_at=complete[-1].at if complete else None,
        audited_at=max((pull.at for pull in complete if pull.is_audit), default=None),
        refused_at=max((response.pulled_at for response in pulled if response.rows is None), default=None),
        largest_answer=max((response.rows or 0 for response in whole), default=0),
        rows=len(rows),
        unreadable=_count_unreadable(pulled, bodies),
        unread=len(rows) - rows[UNREAD].null_count,
        absent=len(rows) - rows["absent_since"].null_count,
    )


def _count_unreadable(pulled: Sequence[RawResponse], bodies: Mapping[str, NormalizedResponse]) -> int:
    """Count the unreadable records of the latest pull. Without IDs, those of several pulls cannot be distinguished."""
    parts = [r for r in pulled if r.pull_id == pulled[-1].pull_id and r.body_sha256 in bodies]
    widest = max((part.request_end - part.request_start for part in parts), default=None)
    latest = {
        part.body_sha256: bodies[part.body_sha256].unreadable
        for part in parts
        if part.body_sha256 and (part.reason != "halves" or part.request_end - part.request_start == widest)
    }
    return sum(latest.values())


def _count_changes(before: pd.DataFrame | None, rows: pa.Table, table: Table) -> tuple[int, int]:
    """Count the new and the changed rows, by hashes of their vendor columns."""
    if before is None or before.empty:
        return len(rows), 0
    names = [column.name for column in table.vendor_columns]
    after: pd.DataFrame = rows.select(names).to_pandas()
    old = pd.Series(pd.util.hash_pandas_object(before[names], index=False).array, index=before["record_id"])
    now = pd.Series(pd.util.hash_pandas_object(after, index=False).array, index=after["record_id"])
    known = now.index.isin(old.index)
    changed = now[known] != old.reindex(now.index[known])
    return int((~known).sum()), int(changed.sum())
