"""Normalization: parsing a response's JSON records into typed columns."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from warehouse.raw.json_records import JsonRecords, parse_json_records
from warehouse.schema.duckdb_types import INSTANT
from warehouse.schema.tables import Column, Table

UNKNOWN = "unknown"
UNREAD = "unread"
CONFLICTS = "conflicts"
#: Columns of a normalized response that are not the vendor's, each a JSON object or null.
OBJECT_COLUMNS = (UNKNOWN, UNREAD, CONFLICTS)

# Callbacks may contain it; message text and media URLs do not belong in these tables.
_DROPPED_FIELDS = frozenset({"content"})
_WORD = r"^[^\s]+$"
_DIRECTIONS = {"inbound": "in", "incoming": "in", "outbound": "out", "outgoing": "out"}
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,9})?")
_TOO_LARGE = 1e15
_INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?$"
_SHORTEST_PLAIN = len("2024-01-01T00:00:00Z")
# A time before or after these has a wrong clock. iPlum reports what has happened, so no record is from the future;
# a day allows for an instant without a zone.
_EARLIEST = pd.Timestamp("2000-01-01", tz="UTC")
_LATEST = pd.Timestamp("2100-01-01", tz="UTC")
_LATEST_AFTER_RESPONSE = timedelta(days=1)
# No call or fax lasts longer.
_LONGEST = timedelta(days=7)


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

    rows: pa.Table
    unreadable: Sequence[int]
    records: Iterable[Any]
    positions: Sequence[int]
    fields: frozenset[str] = frozenset()

    @property
    def frame(self) -> pd.DataFrame:
        """The rows as pandas, with dicts or None for JSON objects."""
        frame: pd.DataFrame = self.rows.to_pandas(use_threads=False)
        for name in OBJECT_COLUMNS:
            values = np.empty(len(frame), dtype=object)
            values[:] = [None if text is None else json.loads(text) for text in self.rows[name].to_pylist()]
            frame[name] = pd.Series(values)
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
        pa.concat_tables([part.rows for part in parts]),
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
    arrays = _build_arrays(records, table)
    if not arrays:
        positions = _find_readable(records, table)
        readable = [records[position] for position in positions]
        arrays = _build_arrays(readable, table)
    unread: dict[int, dict[str, Any]] = {}
    latest = _compute_latest(received_at, positions)
    columns = {
        column.name: _parse_column(arrays.get(column.name), readable, column, latest, unread)
        for column in table.vendor_columns
    }
    if "ended_at" in columns:
        columns["ended_at"] = _drop_late_ends(columns["started_at"], columns["ended_at"], readable, unread)
    fields = frozenset[str]().union(*readable)
    columns[UNKNOWN] = _format_objects(_find_unknown_fields(readable, fields, table), len(readable))
    columns[UNREAD] = _format_objects(unread, len(readable))
    columns[CONFLICTS] = pa.nulls(len(readable), pa.string())
    unreadable = sorted(set(range(len(records))).difference(positions)) if len(readable) < len(records) else ()
    return NormalizedResponse(pa.table(columns), unreadable, records, positions, fields)


def _drop_late_ends(
    started: pa.Array, ended: pa.Array, records: Sequence[dict[str, Any]], unread: dict[int, dict[str, Any]]
) -> pa.Array:
    """Drop the ends that are too long after their start."""
    is_late = pc.greater(ended, pc.add(started, pa.scalar(_LONGEST, pa.duration("us")))).fill_null(False)
    for row in map(int, np.flatnonzero(is_late)):
        unread.setdefault(row, {})["endTimeUTC"] = records[row]["endTimeUTC"]
    return pc.if_else(is_late, pa.scalar(None, INSTANT), ended)


def _compute_latest(
    received_at: datetime | Sequence[datetime] | None, positions: Sequence[int]
) -> pa.Scalar | pa.Array:
    """Return the latest plausible instant, of all records or of each."""
    if isinstance(received_at, Sequence):
        return pa.array([received_at[position] + _LATEST_AFTER_RESPONSE for position in positions], INSTANT)
    return pa.scalar(received_at + _LATEST_AFTER_RESPONSE if received_at else _LATEST, INSTANT)


def _keep_one_payload(response: NormalizedResponse) -> NormalizedResponse:
    """Keep one row per record ID: the payload with the most readable values; others become `conflicts`.

    A row must be a payload that iPlum sent, so different ones are not merged. The choice does not depend on their
    order, which may change from response to response.
    """
    ids = response.rows["record_id"].combine_chunks().dictionary_encode()
    if len(ids.dictionary) == len(ids):
        return response
    numbers: list[int] = ids.indices.to_pylist()
    copies = Counter(numbers)
    repeated = {response.positions[row]: row for row, number in enumerate(numbers) if copies[number] > 1}
    payloads: dict[int, dict[str, int]] = {}
    for position, record in enumerate(response.records):
        if position in repeated:
            row = repeated[position]
            payload = json.dumps({k: v for k, v in record.items() if k not in _DROPPED_FIELDS}, sort_keys=True)
            payloads.setdefault(numbers[row], {}).setdefault(payload, row)
    values = sum(
        column.is_valid().to_numpy().astype(int) for column in response.rows.drop_columns(list(OBJECT_COLUMNS)).columns
    )
    removed = set(repeated.values())
    conflicts: dict[int, dict[str, Any]] = {}
    for rows in payloads.values():
        chosen, *others = sorted(rows, key=lambda payload: (values[rows[payload]], payload), reverse=True)
        removed.remove(rows[chosen])
        if others:
            conflicts[rows[chosen]] = {"conflicting_payloads": [json.loads(payload) for payload in others]}
    rows = response.rows.set_column(
        response.rows.column_names.index(CONFLICTS), CONFLICTS, _format_objects(conflicts, len(numbers))
    )
    kept = [row for row in range(len(numbers)) if row not in removed]
    return replace(response, rows=rows.take(kept), positions=[response.positions[row] for row in kept])


def _build_arrays(records: Sequence[Any], table: Table) -> dict[str, pa.Array]:
    """Build unparsed columns from records that all have an ID and the documented types; else return nothing.

    This takes a third of the time of parsing value by value, which handles all other records.
    """
    if set(map(type, records)) - {dict}:
        return {}
    numbers = [
        column
        for column in table.vendor_columns
        if column.parse == "number" and records and type(records[0].get(str(column.field))) is not str
    ]
    texts = [column for column in table.vendor_columns if column not in numbers]
    try:
        fields = pa.array(records, pa.struct([(str(column.field), pa.string()) for column in texts])).flatten()
        arrays = dict(zip([column.name for column in texts], fields, strict=True))
        arrays.update({column.name: _build_numbers(records, str(column.field)) for column in numbers})
    except (pa.ArrowException, UnicodeEncodeError, TypeError, OverflowError):
        return {}
    ids = arrays["record_id"]
    return arrays if not ids.null_count and not pc.any(pc.equal(ids, "")).as_py() else {}


def _build_numbers(records: Sequence[dict[str, Any]], field: str) -> pa.Array:
    values = [record.get(field) for record in records]
    # Arrow would accept true as 1 next to a fraction, and digits in a text as a number.
    if set(map(type, values)) - {int, float, type(None)}:
        raise TypeError("not numbers throughout")
    return pa.array(values).cast(pa.float64())


def _find_readable(records: Sequence[Any], table: Table) -> list[int]:
    """Return the positions of the records with an ID: an integer, or text that can be stored."""
    id_field = next(column.field for column in table.vendor_columns if column.name == "record_id")
    ids = [record.get(id_field) if type(record) is dict else None for record in records]
    return [
        position
        for position, record_id in enumerate(ids)
        if type(record_id) is int or (type(record_id) is str and record_id and _is_storable(record_id))
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


def _format_objects(objects: Mapping[int, dict[str, Any]], rows: int) -> pa.Array:
    """Format the objects of some rows as JSON; the others are null."""
    if not objects:
        return pa.nulls(rows, pa.string())
    return pa.array([json.dumps(objects[row]) if row in objects else None for row in range(rows)], pa.string())


def _parse_column(
    array: pa.Array | None,
    records: Sequence[dict[str, Any]],
    column: Column,
    latest: pa.Scalar | pa.Array,
    unread: dict[int, dict[str, Any]],
) -> pa.Array:
    """Parse a column, from `array` if it has one type; values that do not parse become null, and are in `unread`.

    So do instants that are implausible.
    """
    if array is not None:
        parsed = _drop_implausible(_parse_array(array, column), latest)
        if parsed.null_count == array.null_count:
            return parsed
    field = str(column.field)
    values = [record.get(field) for record in records]
    parsed = _drop_implausible(_PARSERS[column.parse](values), latest)
    for row in np.flatnonzero(parsed.is_null()):
        if values[row] is not None:
            unread.setdefault(int(row), {})[field] = values[row]
    return parsed


def _parse_array(array: pa.Array, column: Column) -> pa.Array:
    if column.parse == "text":
        return array
    if array.type == pa.float64():
        return pc.if_else(pc.less(pc.abs(array), _TOO_LARGE), array, None)
    if column.parse == "instant":
        return _parse_plain_instants(array)
    # These columns have few distinct values, so each is parsed once.
    encoded = array.dictionary_encode()
    return _PARSERS[column.parse](encoded.dictionary.to_pylist()).take(encoded.indices)


def _parse_plain_instants(array: pa.Array) -> pa.Array:
    """Parse instants that end in Z, to the second or finer; Arrow's parser accepts more than is valid here."""
    shortest = pc.min(pc.binary_length(array)).as_py()
    try:
        if shortest is None or (shortest >= _SHORTEST_PLAIN and pc.all(pc.ends_with(array, "Z")).as_py()):
            return array.cast(INSTANT)
    except pa.ArrowException:
        pass  # parsed value by value
    return pa.nulls(len(array), INSTANT)


def _parse_texts(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowException, UnicodeEncodeError, TypeError):
        return pa.array([_parse_text(value) for value in values], pa.string())


def _parse_text(value: Any) -> str | None:
    if type(value) is str:
        return value if _is_storable(value) else None
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return str(int(value)) if value.is_integer() and abs(value) < _TOO_LARGE else repr(value)
    return None


def _is_storable(text: str) -> bool:
    """Whether a text can be stored as UTF-8: a lone surrogate cannot."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _parse_tokens(values: list[Any]) -> pa.Array:
    tokens = pc.utf8_lower(pc.utf8_trim_whitespace(_parse_texts(values)))
    return pc.if_else(pc.match_substring_regex(tokens, _WORD), tokens, None)


def _parse_directions(values: list[Any]) -> pa.Array:
    return pa.array([_DIRECTIONS.get(word, word) for word in _parse_tokens(values).to_pylist()], pa.string())


def _parse_numbers(values: list[Any]) -> pa.Array:
    return pa.array([_parse_number(value) for value in values], pa.float64())


def _parse_number(value: Any) -> float | None:
    if type(value) is str:
        return float(value) if _NUMBER.fullmatch(value.strip()) else None
    return float(value) if type(value) in (int, float) and abs(value) < _TOO_LARGE else None


def _parse_instants(values: list[Any]) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(_parse_texts(values))
    valid = pc.if_else(pc.match_substring_regex(trimmed, _INSTANT), trimmed, None)
    # pandas accepts more ISO 8601 forms than Arrow.
    texts = pd.Series(valid, dtype="str")
    instants = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce").astype("datetime64[us, UTC]")
    return pa.array(instants, INSTANT)


def _drop_implausible(values: pa.Array, latest: pa.Scalar | pa.Array) -> pa.Array:
    if values.type != INSTANT:
        return values
    is_plausible = pc.and_(pc.greater_equal(values, _EARLIEST), pc.less_equal(values, latest))
    return pc.if_else(is_plausible, values, None)


def parse_instant(value: Any) -> datetime | None:
    """Parse an instant, plausible or not; None for other values."""
    if not isinstance(value, str):
        return None
    instant: datetime | None = _parse_instants([value])[0].as_py()
    return instant


def is_implausible(unread: str) -> bool:
    """Whether any of a record's unparsed values is a time, and so an implausible one."""
    values = [value for value in json.loads(unread).values() if isinstance(value, str)]
    return bool(_parse_instants(values).null_count < len(values))


_PARSERS = {
    "text": _parse_texts,
    "token": _parse_tokens,
    "direction": _parse_directions,
    "number": _parse_numbers,
    "instant": _parse_instants,
}
