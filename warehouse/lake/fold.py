"""From a window's raw answers to its lake file: a pure function of the raw log, run as often as one likes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import pyarrow as pa

from warehouse.lake.callback_records import collect_callback_records
from warehouse.lake.derive import derive_columns
from warehouse.lake.files import WindowState, fold_version, read_rows, read_state, write_lake_file
from warehouse.lake.merge import merge_versions, sort_rows
from warehouse.lake.normalize import UNREAD, NormalizedResponse, normalize_response
from warehouse.lake.out_of_window import find_out_of_window
from warehouse.lake.presence import add_seen_times, find_absences, find_complete_pulls, name_origins
from warehouse.raw.deletion_log import is_deleted
from warehouse.raw.log import RawLog, RawResponse
from warehouse.schema.tables import Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow


@dataclass(frozen=True)
class FoldResult:
    """What a fold made of a window: its state, how it differs from before, and whom it sent rows to.

    `before` is the state it found, None where there was no lake file. `other_windows` names windows whose raw log
    grew by rows of this one's answers; they want folding too.
    """

    state: WindowState
    new: int
    changed: int
    other_windows: frozenset[StorageWindow]
    before: WindowState | None = None


def list_raw(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> tuple[str, ...]:
    """List what a fold of the window stands for: each raw file of the table's datasets as `dataset/name`."""
    return tuple(
        f"{dataset}/{name}"
        for dataset in table.datasets
        for name in RawLog(folder, account, dataset).names(window)
    )


def is_folded(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> bool:
    """Say whether a window's lake file stands for all of its raw files, read as they are read today."""
    state = read_state(folder, table, account, window)
    return (
        state is not None
        and state.version == fold_version(table)
        and state.folded == list_raw(folder, table, account, window)
    )


def fold_window(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> FoldResult:
    """Bring a window's lake file up to its raw log and file strays in their own windows.

    Safe beside other runs without a lock: after writing, the raw log is listed again, and if it grew the
    window is folded again. Raises `StorageFailed` and `RawDamaged`.
    """
    before, state_before = read_rows(folder, table, account, window), read_state(folder, table, account, window)
    other_windows: set[StorageWindow] = set()
    while True:
        listing = list_raw(folder, table, account, window)
        answers = _read_asked(folder, account, window, table=table, listing=listing)
        bodies = _normalize_bodies(answers, table)
        other_windows |= _file_strays(folder, account, window, table=table, answers=answers, bodies=bodies)
        answers, bodies = _let_go_of_bodies(answers, bodies)
        pushed = collect_callback_records(
            _read_pushed(folder, account, window, table=table, listing=listing), table
        )
        rows = merge_responses([answer for _, answer in answers], bodies, table, window, pushed=pushed)
        state = _describe(rows, answers, bodies, table=table, window=window, listing=listing)
        write_lake_file(folder, table, account, window, rows=rows, state=state)
        if list_raw(folder, table, account, window) == listing:
            new, changed = _compare(before, rows, table)
            del answers, bodies, pushed, rows
            # What a large window took would stand beside all that follows.
            pa.default_memory_pool().release_unused()
            return FoldResult(state, new, changed, frozenset(other_windows), state_before)


def compute_rows(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> pa.Table:
    """Make a window's rows of its raw log alone, as they should stand in its lake file; raises `RawDamaged`."""
    listing = list_raw(folder, table, account, window)
    answers = _read_asked(folder, account, window, table=table, listing=listing)
    answers, bodies = _let_go_of_bodies(answers, _normalize_bodies(answers, table))
    pushed = collect_callback_records(_read_pushed(folder, account, window, table=table, listing=listing), table)
    rows = merge_responses([answer for _, answer in answers], bodies, table, window, pushed=pushed)
    return rows.select(table.lake_schema.names).cast(table.lake_schema)


def merge_responses(
    answers: Sequence[RawResponse],
    bodies: dict[str, NormalizedResponse],
    table: Table,
    window: StorageWindow,
    *,
    pushed: pa.Table | None = None,
) -> pa.Table:
    """Make the rows of a window: union by record id, the newest answer wins field by field, null never wins.

    `bodies` holds each body's records by its hash, `pushed` those that came unasked. The result has at least the
    columns of the table's lake schema and `unread`, is sorted by start and record id, and doesn't depend on the
    order of `answers`.
    """
    ordered = sorted(answers, key=lambda answer: (answer.pulled_at, answer.body_sha256 or ""))
    held = list(dict.fromkeys(a.body_sha256 for a in reversed(ordered) if a.body_sha256 in bodies))
    versions = [
        add_seen_times(bodies[digest].rows, [a for a in ordered if a.body_sha256 == digest])
        for digest in reversed(held)
        if digest is not None and len(bodies[digest].rows)
    ]
    if pushed is not None:
        versions.append(pushed)
    if not versions:
        return table.lake_schema.empty_table().append_column(UNREAD, pa.nulls(0, pa.string()))
    together = pa.concat_tables(versions)
    if pushed is not None:
        # Sorting is stable.
        together = together.sort_by("last_seen_at")
    rows = sort_rows(merge_versions(together), table, window)
    rows = rows.append_column("origin", name_origins(rows))
    rows = rows.append_column("absent_since", find_absences(rows, find_complete_pulls(answers, window)))
    return derive_columns(rows, table)


def _read_asked(
    folder: DataFolder, account: str, window: StorageWindow, *, table: Table, listing: Sequence[str]
) -> list[tuple[str, RawResponse]]:
    dataset = table.datasets[0]
    named = RawLog(folder, account, dataset).read(window, _names_of(dataset, listing))
    return sorted(named, key=lambda pair: pair[1].pulled_at)


def _read_pushed(
    folder: DataFolder, account: str, window: StorageWindow, *, table: Table, listing: Sequence[str]
) -> Iterator[RawResponse]:
    for dataset in table.datasets[1:]:
        log = RawLog(folder, account, dataset)
        for name in _names_of(dataset, listing):
            yield from (event for _, event in log.read(window, [name]))


def _names_of(dataset: str, listing: Sequence[str]) -> list[str]:
    return [entry.partition("/")[2] for entry in listing if entry.startswith(f"{dataset}/")]


def _normalize_bodies(answers: Sequence[tuple[str, RawResponse]], table: Table) -> dict[str, NormalizedResponse]:
    texts = {answer.body_sha256: answer.body for _, answer in answers if answer.body is not None}
    return {digest: normalize_response(body, table) for digest, body in texts.items() if digest and body}


def _let_go_of_bodies(
    answers: Sequence[tuple[str, RawResponse]], bodies: dict[str, NormalizedResponse]
) -> tuple[list[tuple[str, RawResponse]], dict[str, NormalizedResponse]]:
    """Keep of a body its rows alone: the two together are more than a large window needs to take."""
    return (
        [(name, replace(answer, body=None)) for name, answer in answers],
        {digest: replace(body, elements=()) for digest, body in bodies.items()},
    )


def _file_strays(
    folder: DataFolder,
    account: str,
    window: StorageWindow,
    *,
    table: Table,
    answers: Sequence[tuple[str, RawResponse]],
    bodies: dict[str, NormalizedResponse],
) -> set[StorageWindow]:
    log = RawLog(folder, account, table.datasets[0])
    plain = {digest: normalized.rows for digest, normalized in bodies.items()}
    filed = set()
    for stray in find_out_of_window(answers, plain, table, window):
        if not log.contains(stray.window, stray.name) and not is_deleted(folder, account, stray.window):
            elements = bodies[str(stray.answer.body_sha256)].elements
            log.append_once(stray.window, stray.copy(elements), stray.name)
            filed.add(stray.window)
    return filed


def _describe(
    rows: pa.Table,
    answers: Sequence[tuple[str, RawResponse]],
    bodies: dict[str, NormalizedResponse],
    *,
    table: Table,
    window: StorageWindow,
    listing: tuple[str, ...],
) -> WindowState:
    asked = [answer for _, answer in answers if answer.reason not in {"stray", "callback"}]
    whole = [a for a in asked if (a.request_start, a.request_end) == (window.start, window.end)]
    complete = find_complete_pulls(asked, window)
    return WindowState(
        version=fold_version(table),
        folded=listing,
        complete_at=complete[-1].at if complete else None,
        audited_at=max((pull.at for pull in complete if pull.is_audit), default=None),
        refused_at=max((answer.pulled_at for answer in asked if answer.rows is None), default=None),
        largest_answer=max((answer.rows or 0 for answer in whole), default=0),
        rows=len(rows),
        unreadable=_count_unreadable(asked, bodies),
        unread=len(rows) - rows[UNREAD].null_count,
        absent=len(rows) - rows["absent_since"].null_count,
    )


def _count_unreadable(asked: Sequence[RawResponse], bodies: dict[str, NormalizedResponse]) -> int:
    """Count in the latest pull alone: elements without an id can't be told apart over several pulls."""
    if not asked:
        return 0
    parts = [a for a in asked if a.pull_id == asked[-1].pull_id and a.body_sha256 in bodies]
    widest = max((part.request_end - part.request_start for part in parts), default=None)
    latest = {
        part.body_sha256: bodies[part.body_sha256].unreadable
        for part in parts
        if part.body_sha256 and (part.reason != "halves" or part.request_end - part.request_start == widest)
    }
    return sum(latest.values())


def _compare(before: pd.DataFrame | None, rows: pa.Table, table: Table) -> tuple[int, int]:
    if before is None or before.empty:
        return len(rows), 0
    names = [column.name for column in table.vendor_columns]
    after: pd.DataFrame = rows.select(names).to_pandas()
    old = pd.Series(pd.util.hash_pandas_object(before[names], index=False).array, index=before["record_id"])
    now = pd.Series(pd.util.hash_pandas_object(after, index=False).array, index=after["record_id"])
    known = now.index.isin(old.index)
    changed = now[known] != old.reindex(now.index[known])
    return int((~known).sum()), int(changed.sum())
