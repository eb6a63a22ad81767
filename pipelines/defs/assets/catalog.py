"""Catalog entries of assets: owner, privacy, documentation page, columns and freshness."""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg
import pyarrow as pa

from pipelines.settings import SHARED
from warehouse.schema.marts import MARTS
from warehouse.schema.tables import TABLES, Column

_PAGES = {
    "raw": "docs/trust.md",
    "lake": "docs/tables.md",
    "archive": "docs/archive.md",
    "warehouse": "docs/tables.md",
    "marts": "docs/marts.md",
    "report": "README.md",
    "people": "docs/people.md",
    "evidence": "docs/evidence.md",
}
#: Classes of privacy, the most private first, with columns that imply them; other tables hold counts.
_PRIVACY = {
    "content": {"body", "path"},
    "names": {"name", "user_name", "counterparty_name"},
    "numbers": {"counterparty", "from_party", "phone_number"},
    "logins": {"user_id"},
}


def add_catalog_entries(asset: dg.AssetsDefinition, *, owner: str) -> dg.AssetsDefinition:
    """Add to each asset its owner, the tag `holds` (how private it is), and its documentation page."""
    columns = {table.name: table.columns for table in TABLES.values()}
    columns |= {mart.name: mart.columns for mart in MARTS}

    def add(spec: dg.AssetSpec) -> dg.AssetSpec:
        page = SHARED / _PAGES[spec.group_name or "raw"]
        return spec.merge_attributes(
            owners=[f"team:{owner}"],
            tags={"holds": _classify_privacy(columns.get(spec.key.path[-1]))},
            metadata={"read_on": dg.MetadataValue.path(page)},
        )

    return asset.map_asset_specs(add)


def _classify_privacy(columns: tuple[Column, ...] | None) -> str:
    if columns is None:
        # Raw responses, callbacks and the report contain numbers.
        return "numbers"
    names = {column.name for column in columns}
    return next((word for word, private in _PRIVACY.items() if names & private), "counts")


#: The daily sync publishes every night: one missed night warns, two fail.
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
    """Return the columns with types and descriptions, as Dagster shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(column.name, _TYPES.get(column.type, "timestamptz"), description=column.description)
            for column in columns
        ]
    )
