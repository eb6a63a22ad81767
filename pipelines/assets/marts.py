"""The marts as assets: what each is made of.

Belongs here: keys, columns and lineage. Does not belong here: building them, which publishing does
(`assets.tables`, `warehouse.marts`).
"""

import dagster as dg

from pipelines.assets.columns import FRESHNESS, build_column_schema
from warehouse.mart_schemas import MARTS, Mart
from warehouse.schemas import PUBLISHED_TABLES, Column

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
            "dagster/column_lineage": _build_lineage(mart),
        },
    )


def _key_of_source(source: str) -> dg.AssetKey:
    if source.startswith(_PREFIX):
        return key_of_mart(source.removeprefix(_PREFIX))
    return dg.AssetKey(["warehouse", source])


def _build_lineage(mart: Mart) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        deps_by_column={
            column.name: [
                dg.TableColumnDep(asset_key=_key_of_source(source), column_name=column.name)
                for source in mart.sources
                if column.name in {other.name for other in _columns_of(source)}
            ]
            for column in mart.columns
        }
    )


def _columns_of(source: str) -> tuple[Column, ...]:
    tables = {table.name: table.columns for table in PUBLISHED_TABLES}
    return {**tables, **{f"{_PREFIX}{mart.name}": mart.columns for mart in MARTS}}[source]
