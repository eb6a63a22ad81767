"""Versions: the records of one window's raw log, each with the times it was seen."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pandas as pd

from warehouse.lake.normalize import NormalizedResponse, normalize_records, normalize_response
from warehouse.lake.presence import CompletePull, add_callback_times, add_seen_times, find_complete_pulls
from warehouse.raw.json_records import load_records
from warehouse.raw.log import RawLog, RawResponse
from warehouse.schema.tables import Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow

# Callback records normalized at a time: a busy window has many thousands, in small files.
_CHUNK = 5_000

Bodies = Mapping[str, NormalizedResponse]
"""Normalized bodies, by hash."""


@dataclass(frozen=True)
class WindowVersions:
    """The versions of a window's records, the weakest first: callbacks, then responses, each by time.

    Args:
        window: The window.
        rows: The columns of a normalized response and of `add_seen_times`.
        pulls: The complete pulls of the window that can show absences.

    """

    window: StorageWindow
    rows: pd.DataFrame
    pulls: Sequence[CompletePull]


VersionCache = dict[tuple[object, ...], WindowVersions]
"""Versions of linked records that were read before: each linked window needs those of all others."""


def read_responses(
    folder: DataFolder, table: Table, account: str, window: StorageWindow, listing: Sequence[str]
) -> tuple[list[tuple[str, RawResponse]], dict[str, NormalizedResponse]]:
    """Read the listed responses of a window, oldest first with the names of their files, and normalize their bodies.

    Raises `RawDamaged`.
    """
    log = RawLog(folder, account, table.datasets[0])
    named = sorted(log.read(window, select_names(log.dataset, listing)), key=lambda pair: pair[1].pulled_at)
    texts = {response.body_sha256: response.body for _, response in named if response.body is not None}
    received_at = {response.body_sha256: response.pulled_at for _, response in named}
    bodies = {
        digest: normalize_response(body, table, received_at[digest])
        for digest, body in texts.items()
        if digest and body
    }
    return named, bodies


def read_callbacks(
    folder: DataFolder, table: Table, account: str, window: StorageWindow, listing: Sequence[str]
) -> Iterator[RawResponse]:
    """Read the listed callbacks of a window, file by file: a busy window has many thousands; raises `RawDamaged`."""
    for dataset in table.datasets[1:]:
        for name in select_names(dataset, listing):
            for _, event in RawLog(folder, account, dataset).read(window, [name]):
                yield event


def read_linked_versions(
    folder: DataFolder,
    table: Table,
    account: str,
    window: StorageWindow,
    *,
    listing: tuple[str, ...],
    ids: Collection[str],
    cache: VersionCache,
) -> WindowVersions:
    """Read the versions of some records in a window's raw log; raises `RawDamaged`."""
    key = (table.name, account, window, listing, frozenset(ids))
    if key not in cache:
        cache[key] = _read_versions(folder, table, account, window, listing=listing, ids=ids)
    return cache[key]


def _read_versions(
    folder: DataFolder,
    table: Table,
    account: str,
    window: StorageWindow,
    *,
    listing: tuple[str, ...],
    ids: Collection[str],
) -> WindowVersions:
    named, bodies = read_responses(folder, table, account, window, listing)
    responses = [replace(response, body=None) for _, response in named]
    callbacks = collect_callbacks(read_callbacks(folder, table, account, window, listing), table)
    versions = collect_versions(responses, bodies, table, window, callbacks=callbacks)
    return replace(versions, rows=filter_by_id(versions.rows, ids))


def collect_versions(
    responses: Sequence[RawResponse],
    bodies: Bodies,
    table: Table,
    window: StorageWindow,
    *,
    callbacks: pd.DataFrame | None = None,
) -> WindowVersions:
    """Collect the versions in a window's responses and callbacks; the order of `responses` does not matter."""
    by_body: dict[str, list[RawResponse]] = {}
    for response in sorted(responses, key=lambda response: (response.pulled_at, response.body_sha256 or "")):
        digest = response.body_sha256 or ""
        if digest in bodies:
            # Removed and inserted again, bodies are ordered by their latest response.
            by_body[digest] = [*by_body.pop(digest, []), response]
    parts = [
        add_seen_times(bodies[digest].rows, of_body) for digest, of_body in by_body.items() if len(bodies[digest].rows)
    ]
    if callbacks is not None:
        parts.insert(0, callbacks.sort_values("last_seen_at", kind="stable"))
    if not parts:
        parts = [add_callback_times(normalize_records([], table).rows, [])]
    return WindowVersions(window, pd.concat(parts, ignore_index=True), _find_readable_pulls(responses, bodies, window))


def _find_readable_pulls(responses: Sequence[RawResponse], bodies: Bodies, window: StorageWindow) -> list[CompletePull]:
    """List the complete pulls without unreadable records, which may be the records that seem to be absent."""
    unreadable = {
        response.pull_id
        for response in responses
        if (body := bodies.get(response.body_sha256 or "")) is not None and body.unreadable
    }
    return find_complete_pulls([response for response in responses if response.pull_id not in unreadable], window)


def collect_callbacks(events: Iterable[RawResponse], table: Table) -> pd.DataFrame | None:
    """Return the records of callbacks in the given order, one row each, or None if there are none.

    They have the columns of `add_seen_times`.
    """
    parts = []
    for chunk in _split_chunks(events):
        normalized = normalize_records([record for _, record in chunk], table, [time for time, _ in chunk])
        times = [chunk[position][0] for position in normalized.positions]
        parts.append(add_callback_times(normalized.rows, times))
    return pd.concat(parts, ignore_index=True) if parts else None


def find_inside(rows: pd.DataFrame, table: Table, window: StorageWindow) -> pd.Series:
    """Return, per row, whether it starts inside a window; null without a start."""
    return rows[table.started].between(window.start, window.end, inclusive="left")


def filter_by_id(rows: pd.DataFrame, ids: Collection[str], *, invert: bool = False) -> pd.DataFrame:
    """Return the rows of some records, or with `invert` of all others."""
    is_chosen = rows["record_id"].isin(list(ids))
    return rows[~is_chosen if invert else is_chosen]


def select_names(dataset: str, listing: Sequence[str]) -> list[str]:
    """Return the names of one dataset's files in a listing of `dataset/name`."""
    return [entry.partition("/")[2] for entry in listing if entry.startswith(f"{dataset}/")]


def _split_chunks(events: Iterable[RawResponse]) -> Iterator[list[tuple[datetime, Any]]]:
    chunk: list[tuple[datetime, Any]] = []
    for event in events:
        chunk += [(event.pulled_at, record) for record in load_records(event.body or b"[]")]
        if len(chunk) >= _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
