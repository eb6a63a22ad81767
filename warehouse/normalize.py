"""Reading the vendor's records: from an answer's JSON to typed columns.

Belongs here: what each kind of field accepts, and what becomes of a value that doesn't read. Does not belong
here: several answers about one record (`fold`), and columns computed from others (`derive`).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from warehouse.schemas import Column, Table

UNKNOWN = "unknown"
UNREAD = "unread"

# Pushed records may carry it; a body or a media URL has no place in these tables (DESIGN 14).
_DROPPED_FIELDS = frozenset({"content"})
_TOKEN = r"^[^\s]+$"
_NUMBER = r"^[+-]?[0-9]{1,15}(\.[0-9]{1,9})?$"
_INSTANT = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?$"
)
_PLAIN_INSTANT = "%Y-%m-%dT%H:%M:%SZ"
# A record dated outside these years tells of a wrong clock, not of a call.
_EARLIEST = pd.Timestamp("2000-01-01", tz="UTC")
_LATEST = pd.Timestamp("2100-01-01", tz="UTC")


@dataclass(frozen=True)
class NormalizedAnswer:
    """The readable records of one answer, and how many elements had no record id or were no object.

    `frame` has the table's vendor columns, typed, and two columns of dicts or None: `unknown` (fields that the
    document doesn't name) and `unread` (the original values of those that didn't read).
    """

    frame: pd.DataFrame
    unreadable: int


def load_records(body: bytes) -> list[Any]:
    """Parse a raw body, which the client has found to be a JSON array."""
    try:
        records = orjson.loads(body)
    except orjson.JSONDecodeError:
        # orjson refuses lone surrogates, NaN and a byte order mark; the log keeps what the vendor sent
        records = json.loads(body.decode("utf-8-sig"), parse_constant=str)
    return records if isinstance(records, list) else [records]


def normalize_answer(body: bytes, table: Table) -> NormalizedAnswer:
    """Turn a raw body into typed columns, one row per readable record, in the answer's order."""
    elements = load_records(body)
    id_field = str(next(column.field for column in table.vendor_columns if column.name == "record_id"))
    records = _identified(elements, id_field)
    unread: dict[int, dict[str, Any]] = {}
    columns = {
        column.name: _read_column([record.get(str(column.field)) for record in records], column, unread)
        for column in table.vendor_columns
    }
    frame = pd.DataFrame(columns, index=pd.RangeIndex(len(records)))
    frame[UNKNOWN] = _unknown_fields(records, table)
    frame[UNREAD] = _objects(
        [unread.get(row) for row in range(len(records))] if unread else [None] * len(records)
    )
    return NormalizedAnswer(frame, len(elements) - len(records))


def _identified(elements: list[Any], id_field: str) -> list[dict[str, Any]]:
    objects = [
        element for element in elements if type(element) is dict and element.get(id_field) not in (None, "")
    ]
    try:
        pa.array([record[id_field] for record in objects], pa.string())
    except (pa.ArrowException, UnicodeEncodeError, TypeError):
        return [record for record in objects if _is_id(record[id_field])]
    return objects


def _is_id(value: Any) -> bool:
    return type(value) is int or (type(value) is str and _is_storable(value))


def _unknown_fields(records: list[dict[str, Any]], table: Table) -> pd.Series[Any]:
    known = {column.field for column in table.vendor_columns} | _DROPPED_FIELDS
    return _objects(
        [
            None if record.keys() <= known else {k: v for k, v in record.items() if k not in known}
            for record in records
        ]
    )


def _objects(values: list[Any]) -> pd.Series[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return pd.Series(array)


def _read_column(values: list[Any], column: Column, unread: dict[int, dict[str, Any]]) -> pd.Series[Any]:
    read = _READERS[column.parse](values)
    lost = read.isna().to_numpy()
    if lost.any():
        for row in np.flatnonzero(lost):
            if values[row] is not None:
                unread.setdefault(int(row), {})[str(column.field)] = values[row]
    return read


def _texts(values: list[Any]) -> pd.Series[Any]:
    try:
        array = pa.array(values, pa.string())
    except (pa.ArrowException, UnicodeEncodeError, TypeError):
        array = pa.array([_text(value) for value in values], pa.string())
    return pd.Series(array, dtype="str")


def _text(value: Any) -> str | None:
    if type(value) is str:
        return value if _is_storable(value) else None
    if type(value) is int:
        return str(value)
    if type(value) is float and math.isfinite(value):
        return format(value, "f").rstrip("0").rstrip(".")
    return None


def _is_storable(text: str) -> bool:
    """Whether a text is Unicode that a file can hold: a lone surrogate is not."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _tokens(values: list[Any]) -> pd.Series[Any]:
    trimmed = _texts(values).str.strip().str.lower()
    return trimmed.where(_matches(trimmed, _TOKEN))


def _numbers(values: list[Any]) -> pd.Series[Any]:
    try:
        numbers = pa.array(values, pa.int64()).cast(pa.float64())
    except (pa.ArrowException, TypeError, OverflowError):
        trimmed = _texts(values).str.strip()
        numbers = pa.array(trimmed.where(_matches(trimmed, _NUMBER)), pa.string()).cast(pa.float64())
    return pd.Series(numbers.to_numpy(zero_copy_only=False))


def _instants(values: list[Any]) -> pd.Series[Any]:
    texts = _texts(values)
    try:
        instants = pd.to_datetime(texts, format=_PLAIN_INSTANT, utc=True)
    except ValueError:
        trimmed = texts.str.strip()
        readable = trimmed.where(_matches(trimmed, _INSTANT))
        instants = pd.to_datetime(readable, format="ISO8601", utc=True, errors="coerce")
    instants = instants.astype("datetime64[us, UTC]")
    return instants.where((instants >= _EARLIEST) & (instants < _LATEST))


_READERS = {"text": _texts, "token": _tokens, "number": _numbers, "instant": _instants}


def _matches(texts: pd.Series[Any], pattern: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    matched = pc.match_substring_regex(pa.array(texts, pa.string()), pattern)
    return np.asarray(pc.fill_null(matched, False).to_numpy(zero_copy_only=False), dtype=bool)
