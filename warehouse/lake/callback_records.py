"""Pushed records as a fold takes them: all of a window's together, each with the time it came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa

from warehouse.lake.normalize import normalize_records
from warehouse.lake.presence import add_callback_times
from warehouse.raw.json_records import load_records
from warehouse.raw.log import RawResponse
from warehouse.schema.tables import Table

# A busy window has many thousands, in small files; so many are read at a time, which bounds what Python holds.
_CHUNK = 5_000


def collect_callback_records(events: Iterable[RawResponse], table: Table) -> pa.Table | None:
    """Make one table of pushed events in the order given, a row a record; None where there is none.

    It has the columns of `add_seen_times`.
    """
    parts = [_make_rows(chunk, table) for chunk in _cut(events)]
    return pa.concat_tables(parts) if parts else None


def _cut(events: Iterable[RawResponse]) -> Iterator[list[tuple[datetime, Any]]]:
    chunk: list[tuple[datetime, Any]] = []
    for event in events:
        chunk += [(event.pulled_at, element) for element in load_records(event.body or b"[]")]
        if len(chunk) >= _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _make_rows(chunk: list[tuple[datetime, Any]], table: Table) -> pa.Table:
    normalized = normalize_records([element for _, element in chunk], table)
    return add_callback_times(normalized.rows, [chunk[place][0] for place in normalized.places])
