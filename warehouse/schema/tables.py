"""The tables: columns, types, meanings, and the vendor fields behind them, from `tables.toml`.

Normalization (`warehouse.lake.normalize`), DDL and documentation follow from these.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

import pyarrow as pa

from warehouse.schema.duckdb_types import ARROW_TYPES, DUCKDB_TYPES, INSTANT


@dataclass(frozen=True)
class Column:
    """A column; `field` is the vendor's field it comes from, `parse` how that is parsed.

    `text` is stored as received; a `token` is a word, lower-cased, without white space; a `direction` is a token, with
    `in` and `out` for other words of the same meaning; `number` and `instant` are parsed from text. A value
    that does not parse becomes null and is kept in `extra`.
    """

    name: str
    type: pa.DataType
    description: str
    field: str | None = None
    parse: Literal["text", "token", "direction", "number", "instant"] = "text"

    @property
    def duckdb_type(self) -> str:
        """The name of the type in DuckDB's DDL."""
        return DUCKDB_TYPES[self.type]


@dataclass(frozen=True)
class Table:
    """A table and its columns, in order.

    `datasets` are the raw logs it is folded from; `started` is the column that assigns a row to its window;
    `source` names the table whose contents an archive table holds. Lake files do not contain `account` and
    `window_start`, which are part of their path.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    datasets: tuple[str, ...] = ()
    started: str = ""
    source: str = ""

    @property
    def vendor_columns(self) -> tuple[Column, ...]:
        """The columns that come from a vendor field."""
        return tuple(column for column in self.columns if column.field)

    @property
    def lake_columns(self) -> tuple[Column, ...]:
        """The columns of a lake file."""
        return tuple(column for column in self.columns if column.name not in {"account", "window_start"})

    @property
    def lake_schema(self) -> pa.Schema:
        """The schema of the table's lake files."""
        return pa.schema([(column.name, column.type) for column in self.lake_columns])


def render_ddl(columns: Iterable[Column]) -> str:
    """Return column definitions for `CREATE TABLE`: quoted names and DuckDB types."""
    return ", ".join(f'"{column.name}" {column.duckdb_type}' for column in columns)


_DECLARED = tomllib.loads((files("warehouse.schema") / "tables.toml").read_text(encoding="utf-8"))


def _load_table(name: str) -> Table:
    declared = _DECLARED[name]
    columns = (_load_column(column, value) for column, value in declared["columns"].items())
    datasets = tuple(declared.get("datasets", ()))
    started, source = declared.get("started", ""), declared.get("source", "")
    return Table(name, declared["description"], tuple(columns), datasets, started, source)


def _load_column(name: str, value: Any) -> Column:
    if isinstance(value, str):
        return _load_column(name, _DECLARED[value]["columns"][name])
    return Column(name, **{**value, "type": ARROW_TYPES[value["type"]]})


def _list_tables(kind: str) -> tuple[Table, ...]:
    return tuple(_load_table(name) for name, declared in _DECLARED.items() if declared["kind"] == kind)


FOLDED_TABLES = _list_tables("folded")
ARCHIVE_TABLES = _list_tables("archive")
VIEWS = _list_tables("view")
LAKE_TABLES = (*FOLDED_TABLES, *ARCHIVE_TABLES)
PUBLISHED_TABLES = (*LAKE_TABLES, *_list_tables("log"))
PEOPLE_TABLES = _list_tables("people")
PUBLICATION_TABLES = _list_tables("publication")

TABLES = {table.name: table for table in (*PUBLISHED_TABLES, *VIEWS, *PEOPLE_TABLES, *PUBLICATION_TABLES)}
USAGE, RECORDINGS, CONTENTS, RECORDING_FILES, PULLS, MESSAGES, ACTIVITY, PEOPLE, PERSON_NUMBERS, PARTY_NAMES = (
    TABLES[name]
    for name in (
        "usage",
        "recordings",
        "contents",
        "recording_files",
        "pulls",
        "messages",
        "activity",
        "people",
        "person_numbers",
        "party_names",
    )
)
#: Each table whose records have contents to download, with the archive table that holds them.
TABLES_WITH_ARCHIVE = tuple((TABLES[archive.source], archive) for archive in ARCHIVE_TABLES)

RAW_COLUMNS = (*PULLS.columns, Column("body", pa.binary(), "The body, verbatim."))
RAW_SCHEMA = pa.schema([(c.name, c.type) for c in RAW_COLUMNS if c.name not in {"account", "dataset", "window_start"}])
DOWNLOAD_LOG_SCHEMA = pa.schema(
    [("record_id", pa.string()), ("attempted_at", INSTANT), ("status", pa.string())]
    + [
        (name, next(column.type for column in CONTENTS.columns if column.name == name))
        for name in ("kind", "body", "error", "sha256", "bytes", "media_type", "path", "origin")
    ]
)


def table_of_dataset(dataset: str) -> Table:
    """Return the table that a raw dataset is folded into; raises `KeyError` for an unknown name."""
    return {dataset: table for table in FOLDED_TABLES for dataset in table.datasets}[dataset]
