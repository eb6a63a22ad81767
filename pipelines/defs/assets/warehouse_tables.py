"""The published tables: one step that brings `warehouse.duckdb` up to the lake."""

from collections.abc import Iterator, Sequence

import dagster as dg

from pipelines.defs.assets.callbacks import key_of_callbacks
from pipelines.defs.assets.columns import FRESHNESS, build_column_schema
from pipelines.defs.assets.marts import build_mart_spec, key_of_mart
from pipelines.defs.failures import fail
from pipelines.settings import Settings
from pipelines.warehouse_folder import choose_marts, open_folder
from warehouse.errors import WarehouseError
from warehouse.outputs.query import run_query
from warehouse.schema.marts import MARTS
from warehouse.schema.tables import (
    CONTENTS,
    FOLDED_TABLES,
    MESSAGES,
    PUBLISHED_TABLES,
    PULLS,
    USAGE,
    VIEWS,
    Table,
)
from warehouse.snapshot.publish import Publication, publish
from warehouse.storage.paths import DataFolder

_LATEST_DAYS = """
SELECT local_date, channel, records, minutes, credits, users
FROM marts.daily_totals
WHERE local_date > (SELECT max(local_date) FROM marts.daily_totals) - 7
ORDER BY local_date DESC, channel
"""


def key_of_table(table: Table) -> dg.AssetKey:
    """Name the asset of a published table."""
    return dg.AssetKey(["warehouse", table.name])


def build_tables_assets(accounts: Sequence[Settings]) -> dg.AssetsDefinition:
    """Make the assets `warehouse/<table>` and `marts/<mart>`, of all accounts, published together."""
    specs = [_build_spec(table, accounts) for table in (*PUBLISHED_TABLES, *VIEWS)]
    folder = open_folder(accounts[0])

    @dg.multi_asset(name="publish_tables", specs=[*specs, *map(build_mart_spec, MARTS)])
    def publish_tables(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
        try:
            publication = publish(folder, choose_marts(accounts))
        except WarehouseError as error:
            raise fail(error) from error
        context.log.info(f"{publication.refolded} windows were folded again before publishing")
        for table in (*PUBLISHED_TABLES, *VIEWS):
            yield dg.MaterializeResult(
                asset_key=key_of_table(table), metadata=_describe_publication(publication, table)
            )
        preview = _preview(folder)
        for mart in MARTS:
            metadata = {"dagster/row_count": publication.marts[mart.name]}
            yield dg.MaterializeResult(
                asset_key=key_of_mart(mart.name),
                metadata={**metadata, "preview": preview} if mart.name == "daily_totals" else metadata,
            )

    return publish_tables


def _preview(folder: DataFolder) -> dg.MetadataValue:
    """Show the latest days as counts: nobody's number or login."""
    latest = run_query(folder, _LATEST_DAYS)
    lines = [" | ".join(latest.columns), " | ".join("---" for _ in latest.columns)]
    lines += [" | ".join(map(str, row)) for row in latest.rows]
    return dg.MetadataValue.md("\n".join(f"| {line} |" for line in lines))


def _describe_publication(publication: Publication, table: Table) -> dict[str, int | bool]:
    if table in VIEWS:
        return {}
    return {
        "dagster/row_count": publication.rows[table.name],
        "windows_replaced": publication.replaced[table.name],
        "rebuilt": publication.rebuilt,
    }


def _build_spec(table: Table, accounts: Sequence[Settings]) -> dg.AssetSpec:
    return dg.AssetSpec(
        key_of_table(table),
        deps=[
            *_find_sources(table, accounts),
            *(map(key_of_callbacks, accounts) if table in FOLDED_TABLES else ()),
        ],
        description=table.description,
        freshness_policy=FRESHNESS,
        group_name="warehouse",
        kinds={"duckdb"},
        metadata={
            "dagster/table_name": f"main.{table.name}",
            "dagster/column_schema": build_column_schema(table.columns),
        },
    )


def _find_sources(table: Table, accounts: Sequence[Settings]) -> list[dg.AssetKey]:
    if table is MESSAGES:
        return [key_of_table(USAGE), key_of_table(CONTENTS)]
    if table is PULLS:
        return [dg.AssetKey(one.key(f"raw_{folded.name}")) for one in accounts for folded in FOLDED_TABLES]
    return [dg.AssetKey(one.key(table.name)) for one in accounts]
