"""DuckDB's names of the column types."""

import pyarrow as pa

INSTANT = pa.timestamp("us", tz="UTC")
DUCKDB_TYPES = {
    pa.string(): "VARCHAR",
    pa.float64(): "DOUBLE",
    pa.int64(): "BIGINT",
    pa.bool_(): "BOOLEAN",
    pa.date32(): "DATE",
    pa.binary(): "BLOB",
    INSTANT: "TIMESTAMPTZ",
    pa.timestamp("us"): "TIMESTAMP",
}
ARROW_TYPES = {name: kind for kind, name in DUCKDB_TYPES.items()}
