"""The marts as assets: what each is made of."""

import dagster as dg

from pipelines.defs.assets.columns import FRESHNESS, build_column_schema
from warehouse.schema.marts import Mart
from warehouse.snapshot.marts import read_mart

_PREFIX = "marts."


def key_of_mart(name: str) -> dg.AssetKey:
    """Name the asset of a mart."""
    return dg.AssetKey(["marts", name])


def build_mart_spec(mart: Mart) -> dg.AssetSpec:
    """Build the asset spec of a mart: description, columns, SELECT and upstream assets."""
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
        },
    )


def _key_of_source(source: str) -> dg.AssetKey:
    if source.startswith(_PREFIX):
        return key_of_mart(source.removeprefix(_PREFIX))
    return dg.AssetKey(["warehouse", source])
