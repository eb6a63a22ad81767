"""Building the marts inside the database that is about to be published."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import duckdb

from warehouse.people.directory import Directory
from warehouse.schema.marts import MARTS, Mart
from warehouse.schema.tables import PEOPLE_TABLES, PUBLICATION_TABLES, VIEWS, Table, render_ddl
from warehouse.snapshot.business_hours import parse_business_hours
from warehouse.snapshot.people_tables import write_people
from warehouse.sql import read_sql

MACROS = ("window_end", "exact_sum", "seconds_between", "business_seconds_before")
#: Tables that several marts read; in memory and not published, in the order in which they are built.
_INTERMEDIATE_TABLES = ("own_parties", "open_hours", "mirrored_records")


@dataclass(frozen=True, kw_only=True)
class AccountSettings:
    """The settings of an account that shape its marts: IANA time zone, business hours, look-back in days."""

    time_zone: str = "UTC"
    business_hours: str = "mon-fri 09:00-17:00"
    lookback_days: int = 7


@dataclass(frozen=True, kw_only=True)
class MartSettings:
    """Settings by account, and the people of all accounts; `default` is for accounts not listed."""

    default: AccountSettings = field(default_factory=AccountSettings)
    accounts: Mapping[str, AccountSettings] = field(default_factory=dict)
    people: Directory = field(default_factory=Directory)

    def of(self, account: str) -> AccountSettings:
        """Return an account's settings."""
        return self.accounts.get(account, self.default)

    def describe(self) -> list[str]:
        """List the settings, but not the people, in a fixed order, for a fingerprint."""
        return [repr(self.default), *(f"{name} {self.accounts[name]}" for name in sorted(self.accounts))]


def read_mart(mart: Mart) -> str:
    """Return a mart's SELECT."""
    return read_sql("marts", mart.name)


def describe_marts() -> list[str]:
    """List everything that shapes the marts, for a fingerprint."""
    parts = [read_sql("macros", name) for name in MACROS]
    parts += [read_sql("intermediate", name) for name in _INTERMEDIATE_TABLES]
    for mart in MARTS:
        parts += [mart.name, mart.description, read_mart(mart)]
        parts += [f"{column.name} {column.type} {column.description}" for column in mart.columns]
    return parts


def build_marts(connection: duckdb.DuckDBPyConnection, settings: MartSettings) -> None:
    """Rebuild schema `marts` and the views in the current database, with comments; raises `duckdb.Error`.

    `publication.settings` has one row per account with its settings and `as_of`, its latest pull. Marts depend on
    it and on the tables only, never on the clock.
    """
    connection.execute("CREATE SCHEMA IF NOT EXISTS publication")
    for name in MACROS:
        connection.execute(read_sql("macros", name))
    _write_settings(connection, settings)
    write_people(connection, settings.people)
    for view in VIEWS:
        connection.execute(f"CREATE OR REPLACE VIEW {view.name} AS {read_sql('views', view.name)}")
    connection.execute("DROP SCHEMA IF EXISTS marts CASCADE")
    connection.execute("CREATE SCHEMA marts")
    # Trying these compressions takes a fifth of the time of writing short texts, and they are rarely chosen.
    connection.execute("SET disabled_compression_methods = 'fsst,zstd'")
    with _intermediate_tables(connection):
        for mart in MARTS:
            connection.execute(f"CREATE TABLE marts.{mart.name} ({render_ddl(mart.columns)})")
            connection.execute(f"INSERT INTO marts.{mart.name} BY NAME {read_mart(mart)}")
    connection.execute("RESET disabled_compression_methods")
    _add_comments(connection)


@contextmanager
def _intermediate_tables(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Provide the intermediate tables by their plain names, in an in-memory database."""
    (built,) = connection.execute("SELECT current_database()").fetchall()[0]
    connection.execute("ATTACH ':memory:' AS working")
    connection.execute(f"SET search_path = '{built},working'")
    try:
        for name in _INTERMEDIATE_TABLES:
            connection.execute(f"CREATE TABLE working.{name} AS {read_sql('intermediate', name)}")
        yield
    finally:
        connection.execute(f"USE {built}")
        connection.execute("DETACH working")


def _write_settings(connection: duckdb.DuckDBPyConnection, settings: MartSettings) -> None:
    for table in PUBLICATION_TABLES:
        connection.execute(f"CREATE OR REPLACE TABLE {table.name} ({render_ddl(table.columns)})")
    for account, as_of in connection.execute(read_sql("publication", "accounts")).fetchall():
        chosen = settings.of(account)
        connection.execute(
            "INSERT INTO publication.settings VALUES (?, ?, ?, ?, ?)",
            [account, chosen.time_zone, chosen.business_hours, chosen.lookback_days, as_of],
        )
        intervals = parse_business_hours(chosen.business_hours)
        rows = [[account, interval.weekday, interval.opens, interval.closes] for interval in intervals]
        connection.executemany("INSERT INTO publication.business_hours VALUES (?, ?, ?, ?)", rows)


def _add_comments(connection: duckdb.DuckDBPyConnection) -> None:
    # In one transaction, two hundred comments are synced once.
    connection.begin()
    for view in VIEWS:
        _add_comment(connection, "VIEW", view.name, view)
    for table in PEOPLE_TABLES:
        _add_comment(connection, "TABLE", table.name, table)
    for mart in MARTS:
        _add_comment(connection, "TABLE", f"marts.{mart.name}", mart)
    connection.commit()


def _add_comment(connection: duckdb.DuckDBPyConnection, kind: str, name: str, described: Mart | Table) -> None:
    connection.execute(f"COMMENT ON {kind} {name} IS {_quote(described.description)}")
    for column in described.columns:
        connection.execute(f'COMMENT ON COLUMN {name}."{column.name}" IS {_quote(column.description)}')


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
