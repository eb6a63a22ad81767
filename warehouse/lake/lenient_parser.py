"""The slow parser, for any records: value by value, so that one odd value costs no other."""

import json
import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from warehouse.lake.columns import (
    DIRECTIONS,
    INSTANTS,
    NUMBERS,
    TEXTS,
    TOO_LARGE,
    is_late_end,
    is_plausible,
    is_word,
    to_words,
)
from warehouse.schema.tables import Column, Table

_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,9})?")
_INSTANT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?"

Unread = dict[int, dict[str, Any]]
"""The original values that did not parse, by row and field."""


def find_readable(records: Sequence[Any], table: Table) -> list[int]:
    """Return the positions of the records with an ID: an integer, or text that can be stored."""
    id_field = next(column.field for column in table.vendor_columns if column.name == "record_id")
    ids = [record.get(id_field) if type(record) is dict else None for record in records]
    return [
        position
        for position, record_id in enumerate(ids)
        if type(record_id) is int or (type(record_id) is str and not _is_blank(record_id) and _is_storable(record_id))
    ]


def parse_any(
    records: Sequence[dict[str, Any]], table: Table, latest: pd.Timestamp | pd.Series
) -> tuple[pd.DataFrame, Unread]:
    """Return the vendor columns of readable records, and the values that became null.

    A value becomes null if it does not parse, or is a time outside 2000 to `latest`, one instant or one per record.
    """
    unread: Unread = {}
    columns = {}
    for column in table.vendor_columns:
        values = [record.get(str(column.field)) for record in records]
        parsed = _parse(values, column)
        if column.parse == "instant":
            parsed = parsed.where(is_plausible(parsed, latest))
        columns[column.name] = parsed
        for row in np.flatnonzero(parsed.isna()).tolist():
            if values[row] is not None:
                unread.setdefault(row, {})[str(column.field)] = values[row]
    if "ended_at" in columns:
        is_late = is_late_end(columns[table.started], columns["ended_at"])
        columns["ended_at"] = columns["ended_at"].mask(is_late)
        for row in np.flatnonzero(is_late).tolist():
            unread.setdefault(row, {})["endTimeUTC"] = records[row]["endTimeUTC"]
    return pd.DataFrame(columns), unread


def _parse(values: list[Any], column: Column) -> pd.Series:
    if column.parse == "number":
        return pd.Series([_parse_number(value) for value in values], dtype=NUMBERS)
    texts = pd.Series([_to_text(value) for value in values], dtype=TEXTS)
    if column.parse in ("token", "direction"):
        words = to_words(texts)
        words = words.where(is_word(words))
        return words.replace(DIRECTIONS) if column.parse == "direction" else words
    return _parse_instants(texts) if column.parse == "instant" else texts


def _to_text(value: Any) -> str | None:
    if type(value) is str:
        return value if _is_storable(value) else None
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return str(int(value)) if value.is_integer() and abs(value) < TOO_LARGE else repr(value)
    return None


def _is_blank(text: str) -> bool:
    """Whether a text shows nothing: white space, control characters, and characters without width."""
    return all(unicodedata.category(letter)[0] in "ZC" and not "\ud800" <= letter <= "\udfff" for letter in text)


def _is_storable(text: str) -> bool:
    """Whether a text can be stored as UTF-8: a lone surrogate cannot."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _parse_number(value: Any) -> float | None:
    if type(value) is str:
        return float(value) if _NUMBER.fullmatch(value.strip()) else None
    return float(value) if type(value) in (int, float) and abs(value) < TOO_LARGE else None


def _parse_instants(texts: pd.Series) -> pd.Series:
    trimmed = texts.str.strip()
    valid = trimmed.where(trimmed.str.fullmatch(_INSTANT)).astype("str")
    # pandas accepts more ISO 8601 forms than Arrow.
    instants = pd.to_datetime(valid, format="ISO8601", utc=True, errors="coerce")
    return instants.astype("datetime64[us, UTC]").astype(INSTANTS)


def parse_instant(value: Any) -> datetime | None:
    """Parse an instant, plausible or not; None for other values."""
    if not isinstance(value, str):
        return None
    instant = _parse_instants(pd.Series([_to_text(value)], dtype=TEXTS))[0]
    return None if pd.isna(instant) else instant.to_pydatetime()


def is_implausible(unread: str) -> bool:
    """Whether any of a record's unparsed values is a time, and so an implausible one."""
    values = [value for value in json.loads(unread).values() if isinstance(value, str)]
    return bool(_parse_instants(pd.Series(list(map(_to_text, values)), dtype=TEXTS)).notna().any())
