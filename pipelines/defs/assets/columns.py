"""How Dagster is told of a table: its columns, and how old it may grow."""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg
import pyarrow as pa

from warehouse.schema.tables import Column

#: The daily sync publishes each night; one that was missed is told, a second one is an alarm.
FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=50), warn_window=timedelta(hours=26))

_TYPES = {
    pa.string(): "text",
    pa.float64(): "double",
    pa.int64(): "bigint",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    pa.binary(): "blob",
}


def build_column_schema(columns: Sequence[Column]) -> dg.TableSchema:
    """Describe columns with their types and meaning."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(column.name, _TYPES.get(column.type, "timestamptz"), description=column.description)
            for column in columns
        ]
    )
