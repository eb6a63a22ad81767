"""DuckDB's names of the column types."""

from __future__ import annotations

import pyarrow as pa

_TYPES = {
    pa.string(): "VARCHAR",
    pa.float64(): "DOUBLE",
    pa.int64(): "BIGINT",
    pa.bool_(): "BOOLEAN",
    pa.date32(): "DATE",
    pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ",
}


def format_duckdb_type(kind: pa.DataType) -> str:
    """Return a column type as DuckDB's DDL writes it."""
    return _TYPES[kind]
