"""The marts as assets: what each is made of.

Belongs here: keys, columns and lineage. Does not belong here: building them, which publishing does
(`assets.tables`, `warehouse.snapshot.marts`).
"""

import dagster as dg

from pipelines.assets.columns import FRESHNESS, build_column_schema
from pipelines.assets.lineage import Source, trace_mart_columns
from warehouse.schema.marts import MARTS, Mart
from warehouse.schema.tables import PUBLISHED_TABLES
from warehouse.snapshot.marts import read_mart

_PREFIX = "marts."


def key_of_mart(name: str) -> dg.AssetKey:
    """Name the asset of a mart."""
    return dg.AssetKey(["marts", name])


def build_mart_spec(mart: Mart) -> dg.AssetSpec:
    """Describe a mart, its columns, and which columns of which tables and marts they come from."""
    return dg.AssetSpec(
        key_of_mart(mart.name),
        deps=[_key_of_source(source) for source in mart.sources],
        description=f"{mart.description} One row per {', '.join(mart.grain)}.",
        freshness_policy=FRESHNESS,
        group_name="marts",
        kinds={"duckdb", "sql"},
        metadata={
            "dagster/table_name": f"marts.{mart.name}",
            "dagster/column_schema": build_column_schema(mart.columns),
            "select": dg.MetadataValue.md(f"```sql\n{read_mart(mart)}\n```"),
            "dagster/column_lineage": trace_mart_columns(mart, _list_sources(mart)),
        },
    )


def _key_of_source(source: str) -> dg.AssetKey:
    if source.startswith(_PREFIX):
        return key_of_mart(source.removeprefix(_PREFIX))
    return dg.AssetKey(["warehouse", source])


def _list_sources(mart: Mart) -> list[Source]:
    columns = {
        **{table.name: table.columns for table in PUBLISHED_TABLES},
        **{f"{_PREFIX}{mart.name}": mart.columns for mart in MARTS},
    }
    return [Source(_key_of_source(source), columns[source]) for source in mart.sources]
