"""Building the marts: each from its SELECT, whole, inside the database that is about to be published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files as package_files

import duckdb

from warehouse.schema.duckdb_types import format_duckdb_type
from warehouse.schema.marts import MARTS, Mart
from warehouse.snapshot.business_hours import read_business_hours

#: What several marts read; made first, in memory, and not published. Those that stand together are made at once:
#: each of them goes through its rows in their order, which takes one core.
_INTERMEDIATE = (
    ("labels",),
    ("members",),
    ("parties",),
    ("clocks",),
    ("local_usage",),
    ("chats",),
    ("timeline",),
    ("texts",),
    ("threads", "text_blocks"),
    ("office_hours",),
)
#: Of these, what no mart reads: dropped before the marts are built, which then get by without more memory.
_STEPS = ("timeline", "texts")


@dataclass(frozen=True, kw_only=True)
class AccountSettings:
    """What an account's owner decides: an IANA time zone, business hours in it, and the look-back in days."""

    time_zone: str = "UTC"
    business_hours: str = "mon-fri 09:00-17:00"
    lookback_days: int = 7


@dataclass(frozen=True, kw_only=True)
class MartSettings:
    """The settings of each account of a warehouse, by name; `default` is for accounts that aren't named."""

    default: AccountSettings = field(default_factory=AccountSettings)
    accounts: Mapping[str, AccountSettings] = field(default_factory=dict)

    def of(self, account: str) -> AccountSettings:
        """Say what holds for an account."""
        return self.accounts.get(account, self.default)

    def describe(self) -> list[str]:
        """List all of it, in one order, for a fingerprint."""
        return [repr(self.default), *(f"{name} {self.accounts[name]}" for name in sorted(self.accounts))]


def read_mart(mart: Mart) -> str:
    """Read a mart's one SELECT."""
    return _read_sql("marts", mart.name)


def describe_marts() -> list[str]:
    """List all that decides what the marts look like, for a fingerprint."""
    parts = [_read_sql("intermediate", name) for stage in _INTERMEDIATE for name in stage]
    for mart in MARTS:
        parts += [mart.name, mart.description, read_mart(mart)]
        parts += [f"{column.name} {column.type} {column.description}" for column in mart.columns]
    return parts


def build_marts(connection: duckdb.DuckDBPyConnection, settings: MartSettings) -> None:
    """Make schema `marts` anew in the current database, each column with its comment; raises `duckdb.Error`.

    `publication.settings` has one row per account: its settings, and `as_of`, its latest pull. The marts follow
    from it and the tables alone, never from the clock.
    """
    connection.execute("CREATE SCHEMA IF NOT EXISTS publication")
    _note_settings(connection, settings)
    connection.execute("DROP SCHEMA IF EXISTS marts CASCADE")
    connection.execute("CREATE SCHEMA marts")
    # Looking whether these would suit costs a fifth of writing short texts, and hardly ever they do.
    connection.execute("SET disabled_compression_methods = 'fsst,zstd'")
    with _working_tables(connection):
        for mart in MARTS:
            _build(connection, mart)
    connection.execute("RESET disabled_compression_methods")
    _describe(connection)


@contextmanager
def _working_tables(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Lend the tables of `_INTERMEDIATE` by their plain names, in a database that is there as long."""
    (built,) = connection.execute("SELECT current_database()").fetchall()[0]
    connection.execute("ATTACH ':memory:' AS working")
    reading = f"SET search_path = '{built},working'"
    connection.execute(reading)
    try:
        for stage in _INTERMEDIATE:
            with ThreadPoolExecutor(len(stage)) as pool:
                list(pool.map(lambda name: _make_working_table(connection.cursor(), reading, name), stage))
        for name in _STEPS:
            connection.execute(f"DROP TABLE working.{name}")
        yield
    finally:
        connection.execute(f"USE {built}")
        connection.execute("DETACH working")


def _make_working_table(connection: duckdb.DuckDBPyConnection, reading: str, name: str) -> None:
    with connection:
        connection.execute(reading)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TABLE working.{name} AS {_read_sql('intermediate', name)}")


def _note_settings(connection: duckdb.DuckDBPyConnection, settings: MartSettings) -> None:
    connection.execute(
        "CREATE OR REPLACE TABLE publication.settings "
        "(account VARCHAR, time_zone VARCHAR, business_hours VARCHAR, lookback_days INTEGER, as_of TIMESTAMPTZ)"
    )
    connection.execute(
        "CREATE OR REPLACE TABLE publication.business_hours "
        "(account VARCHAR, weekday INTEGER, opens_minute INTEGER, closes_minute INTEGER)"
    )
    for account, as_of in connection.execute(_read_sql("intermediate", "accounts")).fetchall():
        chosen = settings.of(account)
        connection.execute(
            "INSERT INTO publication.settings VALUES (?, ?, ?, ?, ?)",
            [account, chosen.time_zone, chosen.business_hours, chosen.lookback_days, as_of],
        )
        connection.executemany(
            "INSERT INTO publication.business_hours VALUES (?, ?, ?, ?)",
            [
                [account, stretch.weekday, stretch.opens, stretch.closes]
                for stretch in read_business_hours(chosen.business_hours)
            ],
        )


def _build(connection: duckdb.DuckDBPyConnection, mart: Mart) -> None:
    columns = ", ".join(f'"{column.name}" {format_duckdb_type(column.type)}' for column in mart.columns)
    connection.execute(f"CREATE TABLE marts.{mart.name} ({columns})")
    connection.execute(f"INSERT INTO marts.{mart.name} BY NAME {read_mart(mart)}")


def _describe(connection: duckdb.DuckDBPyConnection) -> None:
    # Committed one by one, two hundred comments would be synced to the disk two hundred times.
    connection.begin()
    for mart in MARTS:
        connection.execute(f"COMMENT ON TABLE marts.{mart.name} IS {_quote(mart.description)}")
        for column in mart.columns:
            target = f'marts.{mart.name}."{column.name}"'
            connection.execute(f"COMMENT ON COLUMN {target} IS {_quote(column.description)}")
    connection.commit()


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _read_sql(kind: str, name: str) -> str:
    return (package_files("warehouse") / "sql" / kind / f"{name}.sql").read_text()
