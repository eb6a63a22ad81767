"""Building the marts: each from its SELECT, whole, inside the database that is about to be published.

Belongs here: the settings that marts read, and the order of building. Does not belong here: columns
(`mart_schemas`) and definitions (`sql/marts`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files as package_files

import duckdb

from warehouse.business_hours import read_business_hours
from warehouse.duckdb_types import write_type
from warehouse.mart_schemas import MARTS, Mart

#: What several marts read; made first, and not published.
_INTERMEDIATE = ("chats", "clocks", "local_usage", "office_hours")


@dataclass(frozen=True, kw_only=True)
class MartSettings:
    """What the owner decides about figures: an IANA time zone, business hours in it, and the look-back in days."""

    time_zone: str = "UTC"
    business_hours: str = "mon-fri 09:00-17:00"
    lookback_days: int = 7


def read_mart(mart: Mart) -> str:
    """Read a mart's one SELECT."""
    return _read_sql("marts", mart.name)


def describe_marts() -> list[str]:
    """List all that decides what the marts look like, for a fingerprint."""
    parts = [_read_sql("intermediate", name) for name in _INTERMEDIATE]
    for mart in MARTS:
        parts += [mart.name, mart.description, read_mart(mart)]
        parts += [f"{column.name} {column.type} {column.description}" for column in mart.columns]
    return parts


def build_marts(connection: duckdb.DuckDBPyConnection, settings: MartSettings) -> None:
    """Make schema `marts` anew in the current database, each column with its comment; raises `duckdb.Error`.

    `publication.settings` has one row: `settings` and `as_of`, the latest pull. The marts follow from it and the
    tables alone, never from the clock.
    """
    connection.execute("CREATE SCHEMA IF NOT EXISTS publication")
    connection.execute(
        "CREATE OR REPLACE TABLE publication.settings "
        "(time_zone VARCHAR, business_hours VARCHAR, lookback_days INTEGER, as_of TIMESTAMPTZ)"
    )
    connection.execute(
        "INSERT INTO publication.settings SELECT ?, ?, ?, max(pulled_at) FROM pulls",
        [settings.time_zone, settings.business_hours, settings.lookback_days],
    )
    connection.execute(
        "CREATE OR REPLACE TABLE publication.business_hours "
        "(weekday INTEGER, opens_minute INTEGER, closes_minute INTEGER)"
    )
    connection.executemany(
        "INSERT INTO publication.business_hours VALUES (?, ?, ?)",
        [
            [stretch.weekday, stretch.opens, stretch.closes]
            for stretch in read_business_hours(settings.business_hours)
        ],
    )
    for name in _INTERMEDIATE:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {_read_sql('intermediate', name)}")
    connection.execute("DROP SCHEMA IF EXISTS marts CASCADE")
    connection.execute("CREATE SCHEMA marts")
    for mart in MARTS:
        _build(connection, mart)
    for name in reversed(_INTERMEDIATE):
        connection.execute(f"DROP TABLE temp.{name}")


def _build(connection: duckdb.DuckDBPyConnection, mart: Mart) -> None:
    columns = ", ".join(f'"{column.name}" {write_type(column.type)}' for column in mart.columns)
    connection.execute(f"CREATE TABLE marts.{mart.name} ({columns})")
    connection.execute(f"INSERT INTO marts.{mart.name} BY NAME {read_mart(mart)}")
    connection.execute(f"COMMENT ON TABLE marts.{mart.name} IS {_quote(mart.description)}")
    for column in mart.columns:
        connection.execute(f'COMMENT ON COLUMN marts.{mart.name}."{column.name}" IS {_quote(column.description)}')


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _read_sql(kind: str, name: str) -> str:
    return (package_files("warehouse") / "sql" / kind / f"{name}.sql").read_text()
