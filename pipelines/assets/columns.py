"""How Dagster is told of a table's columns.

Belongs here: types in a reader's words. Does not belong here: which columns there are (`warehouse.schemas`,
`warehouse.mart_schemas`).
"""

from collections.abc import Sequence

import dagster as dg
import pyarrow as pa

from warehouse.schemas import Column

_TYPES = {
    pa.string(): "text",
    pa.float64(): "double",
    pa.int64(): "bigint",
    pa.bool_(): "boolean",
    pa.date32(): "date",
}


def build_column_schema(columns: Sequence[Column]) -> dg.TableSchema:
    """Describe columns with their types and meaning."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(column.name, _TYPES.get(column.type, "timestamptz"), description=column.description)
            for column in columns
        ]
    )
