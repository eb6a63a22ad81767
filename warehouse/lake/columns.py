"""Columns of records as pandas Series backed by Arrow: their dtypes, and the rules of all parsers."""

from collections.abc import Mapping
from datetime import timedelta

import pandas as pd
import pyarrow as pa

from warehouse.schema.duckdb_types import INSTANT
from warehouse.schema.tables import Table

TEXTS = pd.ArrowDtype(pa.string())
NUMBERS = pd.ArrowDtype(pa.float64())
INTEGERS = pd.ArrowDtype(pa.int64())
INSTANTS = pd.ArrowDtype(INSTANT)
FLAGS = pd.ArrowDtype(pa.bool_())

#: A number of this size or more is not stored.
TOO_LARGE = 1e15
#: Directions that are stored under another word.
DIRECTIONS = {"inbound": "in", "incoming": "in", "outbound": "out", "outgoing": "out"}
# A time before it has a wrong clock.
_EARLIEST = pd.Timestamp("2000-01-01", tz="UTC")
# No call or fax lasts longer.
_LONGEST = pd.Timedelta(days=7)
#: iPlum reports what has happened, so no record is from the future; a day allows for an instant without a zone.
LATEST_AFTER_RESPONSE = timedelta(days=1)
LATEST = pd.Timestamp("2100-01-01", tz="UTC")


def to_series(array: pa.Array | pa.ChunkedArray) -> pd.Series:
    """Return an Arrow array as pandas, without a copy."""
    return pd.Series(pd.arrays.ArrowExtensionArray(array), copy=False)


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as pandas, without a copy."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def to_lake_rows(rows: pd.DataFrame, table: Table) -> pa.Table:
    """Return rows under the explicit schema of the table's lake files."""
    return pa.table({name: rows[name].array for name in table.lake_schema.names}, schema=table.lake_schema)


def repeat_value(value: object, dtype: pd.ArrowDtype, rows: int) -> pd.arrays.ArrowExtensionArray:
    """Return the same value, or None for null, for each row."""
    return pd.arrays.ArrowExtensionArray(pa.repeat(pa.scalar(value, dtype.pyarrow_dtype), rows))


def build_sparse_texts(texts: Mapping[int, str], rows: int) -> pd.Series:
    """Return a column with a text in some rows, by position; the others are null."""
    if not texts:
        return pd.Series(repeat_value(None, TEXTS, rows))
    return pd.Series([texts.get(row) for row in range(rows)], dtype=TEXTS)


def to_words(texts: pd.Series) -> pd.Series:
    """Return texts in lower case without white space around them."""
    return texts.str.strip().str.lower()


def is_word(texts: pd.Series) -> pd.Series:
    """Return, per row, whether a text is one word; null for null."""
    return texts.str.fullmatch(r"\S+")


def is_plausible(instants: pd.Series, latest: pd.Timestamp | pd.Series) -> pd.Series:
    """Return, per row, whether a time is from 2000 to `latest`, one instant or one per row; null for null."""
    return (instants >= _EARLIEST) & (instants <= latest)


def is_late_end(started: pd.Series, ended: pd.Series) -> pd.Series:
    """Return, per row, whether the end is too long after the start."""
    return ((ended - started) > _LONGEST).fillna(False)
