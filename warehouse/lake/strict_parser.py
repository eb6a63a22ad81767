"""The fast parser, for records that are all well-formed: whole columns in pandas, never value by value."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from warehouse.lake.columns import (
    DIRECTIONS,
    INSTANTS,
    NUMBERS,
    TOO_LARGE,
    is_late_end,
    is_plausible,
    is_word,
    to_series,
    to_words,
)
from warehouse.schema.tables import Column, Table

# Other IDs, such as one of white space only, are for the lenient parser.
_ID = r"[!-~]+"
_NUMBER = r"-?[0-9]{1,15}(\.[0-9]{1,9})?"
_INSTANT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z"


class _NotWellFormedError(Exception):
    """A record has no ID, or a value that the lenient parser has to look at."""


def parse_well_formed(records: Sequence[Any], table: Table, latest: pd.Timestamp | pd.Series) -> pd.DataFrame | None:
    """Return the vendor columns of records, or None if any record has no ID or any value is not well-formed.

    `latest` is the latest plausible instant, of all records or of each. For the same records,
    `warehouse.lake.lenient_parser` returns the same columns more slowly.
    """
    try:
        received = _read_columns(records, table)
        rows = pd.DataFrame({c.name: _parse(received[c.name], c, latest).array for c in table.vendor_columns})
        if "ended_at" in rows:
            _require(~is_late_end(rows[table.started], rows["ended_at"]))
        _require(rows["record_id"].str.fullmatch(_ID).fillna(False))
    except (_NotWellFormedError, pa.ArrowException, UnicodeEncodeError, TypeError, OverflowError):
        return None
    return rows


def _read_columns(records: Sequence[Any], table: Table) -> dict[str, pd.Series]:
    """Return the values as received: texts, and numbers in columns with a number in the first record.

    Raises an exception of Arrow or Python for a record or value of another type.
    """
    if set(map(type, records)) - {dict}:
        raise _NotWellFormedError
    numbers = [
        column
        for column in table.vendor_columns
        if column.parse == "number" and records and type(records[0].get(str(column.field))) is not str
    ]
    texts = [column for column in table.vendor_columns if column not in numbers]
    fields = pa.array(records, pa.struct([(str(column.field), pa.string()) for column in texts])).flatten()
    arrays = dict(zip([column.name for column in texts], fields, strict=True))
    arrays.update({column.name: _read_numbers(records, str(column.field)) for column in numbers})
    return {name: to_series(array) for name, array in arrays.items()}


def _read_numbers(records: Sequence[dict[str, Any]], field: str) -> pa.Array:
    values = [record.get(field) for record in records]
    # Arrow would accept true as 1 next to a fraction, and digits in a text as a number.
    if set(map(type, values)) - {int, float, type(None)}:
        raise _NotWellFormedError
    return pa.array(values).cast(pa.float64())


def _parse(values: pd.Series, column: Column, latest: pd.Timestamp | pd.Series) -> pd.Series:
    if column.parse in ("token", "direction"):
        words = to_words(values)
        _require(is_word(words))
        return words.replace(DIRECTIONS) if column.parse == "direction" else words
    if column.parse == "number":
        if values.dtype != NUMBERS:
            _require(values.str.fullmatch(_NUMBER))
            values = values.astype(NUMBERS)
        _require(values.abs() < TOO_LARGE)
    elif column.parse == "instant":
        # Arrow's parser alone accepts more than is valid here.
        _require(values.str.fullmatch(_INSTANT))
        values = values.astype(INSTANTS)
        _require(is_plausible(values, latest))
    return values


def _require(is_well_formed: pd.Series) -> None:
    """Raise an error unless all rows are well-formed; null, which a condition is for a missing value, is."""
    if not is_well_formed.all():
        raise _NotWellFormedError
