"""How the types of our schemas are called in DuckDB."""

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


def write_type(kind: pa.DataType) -> str:
    """Write a column's type as DuckDB's DDL has it."""
    return _TYPES[kind]
