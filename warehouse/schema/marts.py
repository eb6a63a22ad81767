"""The marts of `marts.toml`, in the order in which they are built."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files

from warehouse.schema.duckdb_types import ARROW_TYPES
from warehouse.schema.tables import Column


@dataclass(frozen=True)
class Mart:
    """A mart: `grain` names the columns that identify a row, `sources` the tables and marts it reads."""

    name: str
    description: str
    grain: tuple[str, ...]
    columns: tuple[Column, ...]
    sources: tuple[str, ...]


def _load_marts() -> tuple[Mart, ...]:
    declared = tomllib.loads((files("warehouse.schema") / "marts.toml").read_text(encoding="utf-8"))
    return tuple(
        Mart(
            name,
            mart["description"],
            tuple(mart["grain"]),
            tuple(_parse_column(column, text) for column, text in mart["columns"].items()),
            tuple(mart["sources"]),
        )
        for name, mart in declared.items()
    )


def _parse_column(name: str, text: str) -> Column:
    kind, _, description = text.partition(": ")
    return Column(name, ARROW_TYPES[kind], description)


MARTS = _load_marts()
