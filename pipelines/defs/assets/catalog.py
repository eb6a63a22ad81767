"""What Dagster's catalog says of every asset alike: whose it is, what it holds, and where to read on."""

from collections.abc import Mapping

import dagster as dg

from pipelines.settings import PROJECT
from warehouse.schema.marts import MARTS
from warehouse.schema.tables import PUBLISHED_TABLES, VIEWS, Column

_PAGES = {
    "raw": "docs/trust.md",
    "lake": "docs/tables.md",
    "archive": "docs/archive.md",
    "warehouse": "docs/tables.md",
    "marts": "docs/marts.md",
    "report": "README.md",
}
#: The most private thing of a row, the most private first; what has none of these columns is counts.
_PRIVACY = {
    "content": {"body", "path"},
    "numbers": {"counterparty", "from_party", "phone_number"},
    "logins": {"user_id"},
}


def catalogue(asset: dg.AssetsDefinition, *, owner: str) -> dg.AssetsDefinition:
    """Give each asset of a step its owner, the tag `holds` (how private it is), and its page to read on."""
    columns = _list_columns()

    def describe(spec: dg.AssetSpec) -> dg.AssetSpec:
        page = PROJECT / _PAGES[spec.group_name or "raw"]
        return spec.merge_attributes(
            owners=[f"team:{owner}"],
            tags={"holds": _tell_privacy(columns.get(spec.key.path[-1]))},
            metadata={"read_on": dg.MetadataValue.path(page)},
        )

    return asset.map_asset_specs(describe)


def _list_columns() -> Mapping[str, tuple[Column, ...]]:
    return {table.name: table.columns for table in (*PUBLISHED_TABLES, *VIEWS, *MARTS)}


def _tell_privacy(columns: tuple[Column, ...] | None) -> str:
    if columns is None:
        # Raw answers, callbacks and the report: who called whom.
        return "numbers"
    names = {column.name for column in columns}
    return next((word for word, private in _PRIVACY.items() if names & private), "counts")
