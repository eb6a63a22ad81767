"""Each mart over 30,000 rows, two accounts and clock changes, against one that shares nothing with its SQL."""

import math
from collections.abc import Iterator
from typing import Any

import duckdb
import pandas as pd
import pytest

from tests.support.expected_marts import ExpectedMarts
from tests.support.generated_accounts import ROWS, generate_rows
from tests.support.mart_database import NEW_YORK, SYDNEY, Row
from warehouse.schema.marts import MARTS, Mart
from warehouse.schema.tables import PULLS, RECORDINGS, USAGE
from warehouse.snapshot.marts import MartSettings, build_marts


@pytest.fixture(scope="module")
def rows() -> tuple[list[Row], list[Row], list[Row]]:
    return generate_rows()


@pytest.fixture(scope="module")
def expected_marts(rows: tuple[list[Row], list[Row], list[Row]]) -> ExpectedMarts:
    return ExpectedMarts(*rows)


@pytest.fixture(scope="module")
def database(rows: tuple[list[Row], list[Row], list[Row]]) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table, members in zip((USAGE, RECORDINGS, PULLS), rows, strict=True):
            frame = pd.DataFrame(members)
            for column in table.columns:
                if column.name not in frame:
                    frame[column.name] = None
            columns = ", ".join(f'"{c.name}"::{c.duckdb_type} AS "{c.name}"' for c in table.columns)
            connection.register("frame", frame)
            connection.execute(f"CREATE TABLE {table.name} AS SELECT {columns} FROM frame")
            connection.unregister("frame")
        build_marts(connection, MartSettings(default=NEW_YORK, accounts={"second": SYDNEY}))
        yield connection


@pytest.mark.parametrize("mart", MARTS, ids=lambda mart: mart.name)
def test_a_mart_equals_the_expected_rows(
    database: duckdb.DuckDBPyConnection, expected_marts: ExpectedMarts, mart: Mart
) -> None:
    names = [column.name for column in mart.columns]
    found = database.execute(f"SELECT * FROM marts.{mart.name}").fetchall()
    expected = [tuple(row[name] for name in names) for row in getattr(expected_marts, mart.name)()]
    assert len(found) == len(expected) > 0
    key = len(mart.grain)
    if names[:key] != list(mart.grain):
        key = len(names)
    for ours, theirs in zip(sorted(found, key=_order), sorted(expected, key=_order), strict=True):
        assert len(ours) == len(theirs)
        assert all(map(_is_same, ours, theirs)), dict(zip(names, zip(ours, theirs, strict=True), strict=True))


def _order(row: tuple[Any, ...]) -> tuple[tuple[bool, str], ...]:
    return tuple((value is None, "" if isinstance(value, float) else str(value)) for value in row)


def _is_same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float | int):
        return math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9)
    return bool(ours == theirs)


@pytest.mark.parametrize("mart", MARTS, ids=lambda mart: mart.name)
def test_a_marts_grain_is_unique(database: duckdb.DuckDBPyConnection, mart: Mart) -> None:
    grain = ", ".join(mart.grain)
    doubled = database.execute(f"SELECT {grain}, count(*) FROM marts.{mart.name} GROUP BY ALL HAVING count(*) > 1")
    assert doubled.fetchall() == []


@pytest.mark.parametrize(
    ("mart", "total"),
    [
        ("daily_activity", "sum(records)"),
        ("daily_totals", "sum(records + mirrored_pairs)"),
        ("hourly_heatmap", "sum(records)"),
        ("user_summary", "sum(records)"),
        ("contacts", "sum(records)"),
        ("client_daily", "sum(records)"),
        ("credits_daily", "sum(records)"),
    ],
)
def test_no_record_is_lost_or_doubled(database: duckdb.DuckDBPyConnection, mart: str, total: str) -> None:
    assert database.execute(f"SELECT {total} FROM marts.{mart}").fetchall() == [(ROWS,)]


@pytest.mark.parametrize("mart", ["daily_activity", "daily_totals", "user_summary", "contacts", "client_daily"])
def test_credits_add_up_to_those_of_the_table(database: duckdb.DuckDBPyConnection, mart: str) -> None:
    (of_mart,) = database.execute(f"SELECT sum(credits) FROM marts.{mart}").fetchall()
    assert database.execute("SELECT sum(credits) FROM usage").fetchall() == [of_mart]


def test_every_mart_and_column_is_commented(database: duckdb.DuckDBPyConnection) -> None:
    commented = dict(
        database.execute("SELECT table_name, comment FROM duckdb_tables() WHERE schema_name = 'marts'").fetchall()
    )
    assert commented == {mart.name: mart.description for mart in MARTS}
    columns = database.execute(
        "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE schema_name = 'marts'"
    ).fetchall()
    assert sorted(columns) == sorted((m.name, c.name, c.description) for m in MARTS for c in m.columns)
