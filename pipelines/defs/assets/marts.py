"""The marts as assets."""

import dagster as dg

from pipelines.defs.assets.catalog import FRESHNESS, build_column_schema
from warehouse.schema.marts import Mart
from warehouse.snapshot.marts import read_mart

_PREFIX = "marts."


def build_mart_key(name: str) -> dg.AssetKey:
    """Return the key of a mart's asset."""
    return dg.AssetKey(["marts", name])


def build_mart_spec(mart: Mart) -> dg.AssetSpec:
    """Build the asset spec of a mart: description, columns, SELECT and upstream assets."""
    return dg.AssetSpec(
        build_mart_key(mart.name),
        deps=[_build_source_key(source) for source in mart.sources],
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


def _build_source_key(source: str) -> dg.AssetKey:
    if source.startswith(_PREFIX):
        return build_mart_key(source.removeprefix(_PREFIX))
    return dg.AssetKey(["warehouse", source])
