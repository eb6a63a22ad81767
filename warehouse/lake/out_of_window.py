"""Out-of-window records: which there are, and their copies for their own windows."""

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
    """Records of one response to store in the raw log of `window`, under a repeatable `name`."""

    window: StorageWindow
    name: str
    response: RawResponse
    ids: frozenset[str]

    def copy(self, elements: Iterable[Any]) -> RawResponse:
        """Return a response with only these records; `elements` are those of the original's body."""
        records = [e for e in elements if isinstance(e, dict) and str(e.get("recordId")) in self.ids]
        body = json.dumps(records).encode()
        return replace(self.response, reason="stray", complete=False, rows=len(records), body=body)


def find_out_of_window(
    named_answers: Sequence[tuple[str, RawResponse]],
    bodies: Mapping[str, pa.Table],
    table: Table,
    window: StorageWindow,
) -> Iterator[OutOfWindowRecords]:
    """Yield the copies for other windows, oldest response first.

    A record whose start changed is copied to every window it was ever in, each time it is seen, so that the
    windows it left learn of the change.
    """
    own_windows: dict[str, set[StorageWindow]] = {}
    for name, response in named_answers:
        if response.reason in {"stray", "callback"} or response.body_sha256 not in bodies:
            continue
        rows = bodies[str(response.body_sha256)]
        _add_own_windows(own_windows, rows, table, window)
        if not own_windows:
            continue
        for target, ids in _select_targets(own_windows, rows).items():
            digest = hashlib.sha256(f"{name}/{target.key}".encode()).hexdigest()[:16]
            yield OutOfWindowRecords(
                target, f"{format_file_time(response.pulled_at)}-{digest}", response, frozenset(ids)
            )


def _add_own_windows(
    own_windows: dict[str, set[StorageWindow]], rows: pa.Table, table: Table, window: StorageWindow
) -> None:
    started = rows[table.started]
    extremes = pc.min_max(started).as_py()
    if extremes["min"] is None or (extremes["min"] >= window.start and extremes["max"] < window.end):
        return
    first, end = pa.scalar(window.start, started.type), pa.scalar(window.end, started.type)
    outside = rows.filter(pc.or_(pc.less(started, first), pc.greater_equal(started, end)))
    for record_id, start in zip(outside["record_id"].to_pylist(), outside[table.started].to_pylist(), strict=True):
        own_windows.setdefault(record_id, set()).add(window_of(start))


def _select_targets(own_windows: Mapping[str, set[StorageWindow]], rows: pa.Table) -> dict[StorageWindow, set[str]]:
    targets: dict[StorageWindow, set[str]] = {}
    ids = rows["record_id"]
    for record_id in ids.filter(pc.is_in(ids, pa.array(own_windows, pa.string()))).to_pylist():
        for target in own_windows[record_id]:
            targets.setdefault(target, set()).add(record_id)
    return targets
