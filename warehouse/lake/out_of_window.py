"""Rows that came with another window's answer: which they are, and the copy that goes to their own window."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from warehouse.raw.log import RawResponse, format_file_time
from warehouse.schema.tables import Table
from warehouse.windows import StorageWindow, window_of


@dataclass(frozen=True)
class OutOfWindowRecords:
    """Rows of one answer to file in the raw log of `window`, under a `name` that a second try repeats."""

    window: StorageWindow
    name: str
    answer: RawResponse
    ids: frozenset[str]

    def copy(self, elements: Iterable[Any]) -> RawResponse:
        """Make the answer to file of the records that the original's body holds, `elements`."""
        records = [e for e in elements if isinstance(e, dict) and str(e.get("recordId")) in self.ids]
        body = json.dumps(records).encode()
        return replace(self.answer, reason="stray", complete=False, rows=len(records), body=body)


def find_out_of_window(
    named_answers: Sequence[tuple[str, RawResponse]],
    bodies: Mapping[str, pa.Table],
    table: Table,
    window: StorageWindow,
) -> Iterator[OutOfWindowRecords]:
    """Go through the copies that other windows are owed, oldest answer first.

    A record whose start was changed at the source goes to every window that it ever lay in, each time it is
    seen, so that the windows it left learn of it.
    """
    homes: dict[str, set[StorageWindow]] = {}
    for name, answer in named_answers:
        if answer.reason in {"stray", "callback"} or answer.body_sha256 not in bodies:
            continue
        rows = bodies[str(answer.body_sha256)]
        _note_homes(homes, rows, table, window)
        if not homes:
            continue
        for target, ids in _owed(homes, rows).items():
            digest = hashlib.sha256(f"{name}/{target.key}".encode()).hexdigest()[:16]
            yield OutOfWindowRecords(
                target, f"{format_file_time(answer.pulled_at)}-{digest}", answer, frozenset(ids)
            )


def _note_homes(homes: dict[str, set[StorageWindow]], rows: pa.Table, table: Table, window: StorageWindow) -> None:
    started = rows[table.started]
    extremes = pc.min_max(started).as_py()
    if extremes["min"] is None or (extremes["min"] >= window.start and extremes["max"] < window.end):
        return
    first, end = pa.scalar(window.start, started.type), pa.scalar(window.end, started.type)
    foreign = rows.filter(pc.or_(pc.less(started, first), pc.greater_equal(started, end)))
    for record_id, start in zip(foreign["record_id"].to_pylist(), foreign[table.started].to_pylist(), strict=True):
        homes.setdefault(record_id, set()).add(window_of(start))


def _owed(homes: Mapping[str, set[StorageWindow]], rows: pa.Table) -> dict[StorageWindow, set[str]]:
    owed: dict[StorageWindow, set[str]] = {}
    ids = rows["record_id"]
    for record_id in ids.filter(pc.is_in(ids, pa.array(homes, pa.string()))).to_pylist():
        for target in homes[record_id]:
            owed.setdefault(target, set()).add(record_id)
    return owed
