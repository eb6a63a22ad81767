"""Reading the vendor's records: from an answer's JSON to typed columns.

Belongs here: what each kind of field accepts, and what becomes of a value that doesn't read. Does not belong
here: several answers about one record (`fold`), and columns computed from others (`derive`).
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from warehouse.schemas import INSTANT, Column, Table

UNKNOWN = "unknown"
UNREAD = "unread"

# Pushed records may carry it; a body or a media URL has no place in these tables (DESIGN 14).
_DROPPED_FIELDS = frozenset({"content"})
_WORD = r"^[^\s]+$"
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,9})?")
_TOO_LARGE = 1e15
_TOO_LARGE_FOR_64_BITS = 2.0**63
_INSTANT = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?$"
)
_PLAIN_LENGTH = 20
# A record dated outside these years tells of a wrong clock, not of a call.
_EARLIEST = pd.Timestamp("2000-01-01", tz="UTC")
_LATEST = pd.Timestamp("2100-01-01", tz="UTC")


@dataclass(frozen=True)
class NormalizedAnswer:
    """The readable records of one answer, and how many elements had no record id or were no object.

    `records` are the readable ones of `elements`. `frame` has the table's vendor columns, typed, and two columns
    of dicts or None: `unknown` (fields that the document doesn't name) and `unread` (the original values of those
    that didn't read).
    """

    frame: pd.DataFrame
    unreadable: int
    elements: list[Any]
    records: list[dict[str, Any]]

    @property
    def positions(self) -> list[int]:
        """The place among the elements of each row's own."""
        readable = {id(record) for record in self.records}
        return [place for place, element in enumerate(self.elements) if id(element) in readable]


def load_records(body: bytes) -> list[Any]:
    """Parse a raw body, which the client has found to be a JSON array."""
    try:
        records = orjson.loads(body)
    except orjson.JSONDecodeError:
        # orjson refuses lone surrogates, NaN and a byte order mark; the log keeps what the vendor sent
        text = body.decode("utf-8-sig")
        records = json.loads(text, parse_constant=str, parse_float=_parse_float, parse_int=_parse_integer)
    return records if isinstance(records, list) else [records]


def _parse_float(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _parse_integer(text: str) -> int | float | str:
    """Do as orjson, which makes a float of what 64 bits don't hold."""
    number = _parse_float(text)
    return int(text) if isinstance(number, float) and abs(number) < _TOO_LARGE_FOR_64_BITS else number


def normalize_answer(body: bytes, table: Table) -> NormalizedAnswer:
    """Turn a raw body into typed columns, one row per readable record, in the answer's order."""
    return normalize_records(load_records(body), table)


def normalize_records(elements: list[Any], table: Table) -> NormalizedAnswer:
    """Turn parsed elements into typed columns, one row per readable record, in their order."""
    id_field = str(next(column.field for column in table.vendor_columns if column.name == "record_id"))
    records = _identified(elements, id_field)
    unread: dict[int, dict[str, Any]] = {}
    arrays = _gather_columns(records, table)
    columns = {
        column.name: _read_column(arrays.get(column.name), records, column, unread)
        for column in table.vendor_columns
    }
    frame: pd.DataFrame = pa.table(columns).to_pandas(use_threads=False)
    frame[UNKNOWN] = _unknown_fields(records, table)
    frame[UNREAD] = _objects([unread.get(row) for row in range(len(records))] if unread else [None] * len(records))
    return NormalizedAnswer(frame, len(elements) - len(records), elements, records)


def _gather_columns(records: list[dict[str, Any]], table: Table) -> dict[str, pa.Array]:
    """Turn records that all have the document's types into columns at once; nothing where one has not.

    That costs a third of looking at each value; what doesn't fit is looked at value by value instead.
    """
    types = {
        str(column.field): pa.float64() if _is_number(records, column) else pa.string()
        for column in table.vendor_columns
    }
    try:
        fields = pa.array(records, pa.struct(types.items())).flatten()
    except (pa.ArrowException, UnicodeEncodeError, TypeError, OverflowError):
        return {}
    return dict(zip([column.name for column in table.vendor_columns], fields, strict=True))


def _is_number(records: list[dict[str, Any]], column: Column) -> bool:
    field = str(column.field)
    if column.parse != "number" or not records or type(records[0].get(field)) not in (int, float):
        return False
    # Arrow would take true for 1.
    return bool not in {type(record.get(field)) for record in records}


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
    if set().union(*records) <= known:
        return _objects([None] * len(records))
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


def _read_column(
    array: pa.Array | None, records: list[dict[str, Any]], column: Column, unread: dict[int, dict[str, Any]]
) -> pa.Array:
    field = str(column.field)
    if array is not None:
        read = _read_array(array, column)
        if read.null_count == array.null_count:
            return read
    values = [record.get(field) for record in records]
    read = _READERS[column.parse](values)
    for row in np.flatnonzero(read.is_null()):
        if values[row] is not None:
            unread.setdefault(int(row), {})[field] = values[row]
    return read


def _read_array(array: pa.Array, column: Column) -> pa.Array:
    """Read a column that has one type throughout; what does not read is null."""
    if column.parse == "text":
        return array
    if array.type == pa.float64():
        return pc.if_else(pc.less(pc.abs(array), _TOO_LARGE), array, None)
    if column.parse == "instant":
        return _read_plain_instants(array)
    # Few words and few numbers fill these columns, so each is read once.
    words = array.dictionary_encode()
    return _READERS[column.parse](words.dictionary.to_pylist()).take(words.indices)


def _read_plain_instants(array: pa.Array) -> pa.Array:
    """Read instants to the second or finer that end in Z; Arrow's own reading takes more than is meant here."""
    shortest = pc.min(pc.binary_length(array)).as_py()
    try:
        if shortest is not None and (shortest < _PLAIN_LENGTH or not pc.all(pc.ends_with(array, "Z")).as_py()):
            return pa.nulls(len(array), INSTANT)
        instants = array.cast(INSTANT)
    except pa.ArrowException:
        return pa.nulls(len(array), INSTANT)
    return _keep_plausible(instants)


def _texts(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowException, UnicodeEncodeError, TypeError):
        return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    if type(value) is str:
        return value if _is_storable(value) else None
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return str(int(value)) if value.is_integer() and abs(value) < _TOO_LARGE else repr(value)
    return None


def _is_storable(text: str) -> bool:
    """Whether a text is Unicode that a file can hold: a lone surrogate is not."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _tokens(values: list[Any]) -> pa.Array:
    words = pc.utf8_lower(pc.utf8_trim_whitespace(_texts(values)))
    return pc.if_else(pc.match_substring_regex(words, _WORD), words, None)


def _numbers(values: list[Any]) -> pa.Array:
    return pa.array([_number(value) for value in values], pa.float64())


def _number(value: Any) -> float | None:
    if type(value) is str:
        return float(value) if _NUMBER.fullmatch(value.strip()) else None
    return float(value) if type(value) in (int, float) and abs(value) < _TOO_LARGE else None


def _instants(values: list[Any]) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(_texts(values))
    readable = pc.if_else(pc.match_substring_regex(trimmed, _INSTANT), trimmed, None)
    # Arrow reads fewer forms than are meant here.
    texts = pd.Series(readable, dtype="str")
    instants = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce").astype("datetime64[us, UTC]")
    return _keep_plausible(pa.array(instants, INSTANT))


def _keep_plausible(instants: pa.Array) -> pa.Array:
    inside = pc.and_(pc.greater_equal(instants, _EARLIEST), pc.less(instants, _LATEST))
    return pc.if_else(inside, instants, None)


_READERS = {"text": _texts, "token": _tokens, "number": _numbers, "instant": _instants}
