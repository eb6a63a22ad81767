"""The published tables and marts as assets: one step that updates `warehouse.duckdb`."""

from collections.abc import Iterator, Sequence

import dagster as dg

from pipelines.defs.assets.catalog import FRESHNESS, build_column_schema
from pipelines.defs.failures import failing_step
from pipelines.settings import Settings
from pipelines.steps.refresh_people import refresh_people
from pipelines.warehouse_folder import build_mart_settings, open_folder
from warehouse.outputs.escaping import escape_for_markdown
from warehouse.outputs.query import run_query
from warehouse.people.stored_people import PeopleUpdate
from warehouse.schema.marts import MARTS, Mart
from warehouse.schema.tables import (
    ACTIVITY,
    CONTENTS,
    FOLDED_TABLES,
    MESSAGES,
    PEOPLE_TABLES,
    PUBLISHED_TABLES,
    PULLS,
    USAGE,
    VIEWS,
    Table,
)
from warehouse.snapshot.marts import read_mart
from warehouse.snapshot.publish import Publication, publish
from warehouse.storage.paths import DataFolder

_LATEST_DAYS = """
SELECT local_date, channel, records, minutes, credits, users
FROM marts.daily_totals
WHERE local_date > (SELECT max(local_date) FROM marts.daily_totals) - 7
ORDER BY local_date DESC, channel
"""


_TABLES = (*PUBLISHED_TABLES, *PEOPLE_TABLES, *VIEWS)
_SHOWN = 10
_PEOPLE_FILES = dg.AssetSpec(
    "people",
    description="The people files (IPLUM_PEOPLE), read by each publish. An unreadable file keeps its earlier names.",
    group_name="people",
    kinds={"csv"},
)
_PEOPLE_READ = dg.AssetCheckSpec(
    "people_read", asset="people", description="Every row of the people files is read, and no number has two owners."
)


def build_table_key(table: Table) -> dg.AssetKey:
    """Return the key of a published table's asset."""
    return dg.AssetKey(["warehouse", table.name])


def build_mart_key(name: str) -> dg.AssetKey:
    """Return the key of a mart's asset."""
    return dg.AssetKey(["marts", name])


def build_tables_assets(accounts: Sequence[Settings]) -> dg.AssetsDefinition:
    """Build the assets `warehouse/<table>` and `marts/<mart>`, published together for all accounts."""
    specs = [_build_table_spec(table, accounts) for table in _TABLES]
    folder = open_folder(accounts[0])

    @dg.multi_asset(
        name="publish_tables", specs=[_PEOPLE_FILES, *specs, *map(_build_mart_spec, MARTS)], check_specs=[_PEOPLE_READ]
    )
    def publish_tables(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
        with failing_step():
            update = refresh_people(accounts[0], folder)
            publication = publish(folder, build_mart_settings(accounts))
        context.log.info(f"Folded {publication.refolded} windows before publishing.")
        yield _describe_people(update)
        for table in _TABLES:
            yield dg.MaterializeResult(
                asset_key=build_table_key(table), metadata=_describe_publication(publication, table)
            )
        with failing_step():
            preview = build_preview(folder)
        for mart in MARTS:
            metadata = {"dagster/row_count": publication.marts[mart.name]}
            yield dg.MaterializeResult(
                asset_key=build_mart_key(mart.name),
                metadata={**metadata, "preview": preview} if mart.name == "daily_totals" else metadata,
            )

    return publish_tables


def _describe_people(update: PeopleUpdate | None) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Describe the people files: counts and the places of problems, never a name."""
    entries, problems = (len(update.entries), update.problems) if update else (0, ())
    check = dg.AssetCheckResult(
        asset_key=_PEOPLE_FILES.key,
        check_name=_PEOPLE_READ.name,
        passed=not problems,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "problems": len(problems),
            "places": ", ".join(f"{one.source} line {one.line}" for one in problems[:_SHOWN]) or "none",
        },
    )
    return dg.MaterializeResult(asset_key=_PEOPLE_FILES.key, metadata={"entries": entries}, check_results=[check])


def build_preview(folder: DataFolder) -> dg.MarkdownMetadataValue:
    """Return a table of the latest days, which contains counts only.

    Dagster renders it as Markdown, and anyone may have chosen the text of a channel.
    """
    latest = run_query(folder, _LATEST_DAYS)
    lines = [" | ".join(latest.columns), " | ".join("---" for _ in latest.columns)]
    lines += [" | ".join(escape_for_markdown(str(value)) for value in row) for row in latest.rows]
    return dg.MetadataValue.md("\n".join(f"| {line} |" for line in lines))


def _describe_publication(publication: Publication, table: Table) -> dict[str, int | bool]:
    if table not in PUBLISHED_TABLES:
        return {}
    return {
        "dagster/row_count": publication.rows[table.name],
        "windows_replaced": publication.replaced[table.name],
        "rebuilt": publication.rebuilt,
    }


def _build_table_spec(table: Table, accounts: Sequence[Settings]) -> dg.AssetSpec:
    return dg.AssetSpec(
        build_table_key(table),
        deps=_find_sources(table, accounts),
        description=table.description,
        freshness_policy=FRESHNESS,
        group_name="warehouse",
        kinds={"duckdb"},
        metadata={
            "dagster/table_name": f"main.{table.name}",
            "dagster/column_schema": build_column_schema(table.columns),
        },
    )


def _build_mart_spec(mart: Mart) -> dg.AssetSpec:
    return dg.AssetSpec(
        build_mart_key(mart.name),
        # A source is a table, or `marts.` and the name of a mart.
        deps=[source.split(".") if "." in source else ["warehouse", source] for source in mart.sources],
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


def _find_sources(table: Table, accounts: Sequence[Settings]) -> list[dg.AssetKey]:
    if table is MESSAGES:
        return [build_table_key(USAGE), build_table_key(CONTENTS)]
    if table is ACTIVITY:
        return [build_table_key(USAGE)]
    if table in PEOPLE_TABLES:
        return [_PEOPLE_FILES.key]
    if table is PULLS:
        return [dg.AssetKey(one.key(f"raw_{folded.name}")) for one in accounts for folded in FOLDED_TABLES]
    names = [table.name, "callbacks"] if table in FOLDED_TABLES else [table.name]
    return [dg.AssetKey(one.key(name)) for name in names for one in accounts]
