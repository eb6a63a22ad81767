"""Normalization: parsing a response's JSON records into typed columns."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from warehouse.lake.columns import INSTANTS, LATEST, LATEST_AFTER_RESPONSE, build_sparse_texts
from warehouse.lake.lenient_parser import find_readable, parse_any
from warehouse.lake.strict_parser import parse_well_formed
from warehouse.raw.json_records import JsonRecords, parse_json_records
from warehouse.schema.tables import Table

UNKNOWN = "unknown"
UNREAD = "unread"
CONFLICTS = "conflicts"
#: Columns of a normalized response that are not the vendor's, each a JSON object or null.
OBJECT_COLUMNS = (UNKNOWN, UNREAD, CONFLICTS)

# Callbacks may contain it; message text and media URLs do not belong in these tables.
_DROPPED_FIELDS = frozenset({"content"})


@dataclass(frozen=True)
class NormalizedResponse:
    """The readable records of one response.

    Args:
        rows: The table's vendor columns, typed, and columns of JSON objects or null: `unknown` (undocumented
            fields), `unread` (the original values of those that did not parse) and `conflicts` (other payloads
            with the same ID).
        unreadable: The positions of the records that are not an object with a record ID.
        records: All records of the response.
        positions: The position of each row's record among them.
        fields: The names of all fields of the readable records.

    """

    rows: pd.DataFrame
    unreadable: Sequence[int]
    records: Iterable[Any]
    positions: Sequence[int]
    fields: frozenset[str] = frozenset()

    @property
    def frame(self) -> pd.DataFrame:
        """The rows with NumPy's dtypes, and dicts or None for JSON objects."""
        frame: pd.DataFrame = pa.table({str(name): self.rows[name].array for name in self.rows}).to_pandas()
        for name in OBJECT_COLUMNS:
            objects = [None if pd.isna(text) else json.loads(text) for text in self.rows[name]]
            frame[name] = pd.Series(np.array([*objects, None], dtype=object)[:-1])
        return frame


def normalize_response(body: bytes, table: Table, received_at: datetime | None = None) -> NormalizedResponse:
    """Normalize a raw body: one row per record ID, in order.

    `received_at` (aware UTC) decides which times are plausible; without it, all from 2000 to 2099 are. Of different
    payloads under one ID, one is the row, whole, and the others are in `conflicts`. A large body is parsed in
    chunks, so memory holds the columns and one chunk.
    """
    parts: list[NormalizedResponse] = []
    for chunk in parse_json_records(body):
        part = normalize_records(chunk, table, received_at)
        parts.append(replace(part, records=()) if parts else part)
    if len(parts) == 1:
        return _keep_one_payload(parts[0])
    sizes = [len(part.positions) + len(part.unreadable) for part in parts]
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    whole = NormalizedResponse(
        pd.concat([part.rows for part in parts], ignore_index=True),
        [start + position for start, part in zip(starts, parts, strict=True) for position in part.unreadable],
        JsonRecords(body),
        [start + position for start, part in zip(starts, parts, strict=True) for position in part.positions],
        frozenset(chain.from_iterable(part.fields for part in parts)),
    )
    return _keep_one_payload(whole)


def normalize_records(
    records: Sequence[Any], table: Table, received_at: datetime | Sequence[datetime] | None = None
) -> NormalizedResponse:
    """Normalize parsed records: one row per readable record, in order.

    `received_at` is as in `normalize_response`, or one instant per record.
    """
    positions: Sequence[int] = range(len(records))
    readable = records
    unread: Mapping[int, dict[str, Any]] = {}
    rows = parse_well_formed(records, table, _compute_latest(received_at, positions))
    if rows is None:
        positions = find_readable(records, table)
        readable = [records[position] for position in positions]
        rows, unread = parse_any(readable, table, _compute_latest(received_at, positions))
    fields = frozenset[str]().union(*readable)
    objects: dict[str, Mapping[int, dict[str, Any]]] = {
        UNKNOWN: _find_unknown_fields(readable, fields, table),
        UNREAD: unread,
        CONFLICTS: {},
    }
    rows = rows.assign(**{name: _format_objects(by_row, len(rows)) for name, by_row in objects.items()})
    unreadable = sorted(set(range(len(records))).difference(positions)) if len(readable) < len(records) else ()
    return NormalizedResponse(rows, unreadable, records, positions, fields)


def _compute_latest(
    received_at: datetime | Sequence[datetime] | None, positions: Sequence[int]
) -> pd.Timestamp | pd.Series:
    """Return the latest plausible instant, of all records or of each."""
    if isinstance(received_at, Sequence):
        latest = [received_at[position] + LATEST_AFTER_RESPONSE for position in positions]
        return pd.Series(latest, dtype=INSTANTS)
    return pd.Timestamp(received_at + LATEST_AFTER_RESPONSE) if received_at else LATEST


def _keep_one_payload(response: NormalizedResponse) -> NormalizedResponse:
    """Keep one row per record ID: the payload with the most readable values; others become `conflicts`.

    A row must be a payload that iPlum sent, so different ones are not merged. The choice does not depend on their
    order, which may change from response to response.
    """
    rows = response.rows
    is_repeated = rows["record_id"].duplicated(keep=False)
    if not is_repeated.any():
        return response
    copies = rows.loc[is_repeated, ["record_id"]]
    copies["values"] = rows[is_repeated].drop(columns=list(OBJECT_COLUMNS)).notna().sum(axis="columns")
    copies["payload"] = _format_payloads(response, copies.index)
    payloads = copies.drop_duplicates(["record_id", "payload"]).sort_values(["values", "payload"], ascending=False)
    chosen = payloads.drop_duplicates("record_id")
    row_of_id = dict(zip(chosen["record_id"], chosen.index, strict=True))
    conflicts: dict[int, dict[str, Any]] = {}
    for record_id, payload in payloads.drop(index=chosen.index)[["record_id", "payload"]].itertuples(index=False):
        conflict = conflicts.setdefault(row_of_id[record_id], {"conflicting_payloads": []})
        conflict["conflicting_payloads"].append(json.loads(payload))
    kept = rows.index.difference(copies.index.difference(chosen.index))
    rows = rows.assign(**{CONFLICTS: _format_objects(conflicts, len(rows))}).loc[kept].reset_index(drop=True)
    return replace(response, rows=rows, positions=[response.positions[row] for row in kept])


def _format_payloads(response: NormalizedResponse, rows: pd.Index) -> list[str]:
    """Return the JSON of some rows' records, without the fields that are never stored."""
    positions = {response.positions[row] for row in rows}
    return [
        json.dumps({name: value for name, value in record.items() if name not in _DROPPED_FIELDS}, sort_keys=True)
        for position, record in enumerate(response.records)
        if position in positions
    ]


def _find_unknown_fields(
    records: Sequence[dict[str, Any]], fields: frozenset[str], table: Table
) -> dict[int, dict[str, Any]]:
    known = {column.field for column in table.vendor_columns} | _DROPPED_FIELDS
    if fields <= known:
        return {}
    return {
        row: {name: value for name, value in record.items() if name not in known}
        for row, record in enumerate(records)
        if not record.keys() <= known
    }


def _format_objects(objects: Mapping[int, dict[str, Any]], rows: int) -> pd.Series:
    """Format the objects of some rows as JSON; the others are null."""
    return build_sparse_texts({row: json.dumps(fields) for row, fields in objects.items()}, rows)
