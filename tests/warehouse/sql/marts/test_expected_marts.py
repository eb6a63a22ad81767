"""Every mart over 30,000 generated records of two accounts, compared with marts computed in plain Python."""

import math
from collections.abc import Iterator
from typing import Any

import duckdb
import pandas as pd
import pytest

from tests.support.expected_marts import ExpectedMarts
from tests.support.generated_accounts import PEOPLE, ROWS, generate_rows
from tests.support.mart_database import NEW_YORK, SYDNEY, Row, fill
from warehouse.schema.marts import MARTS, Mart
from warehouse.schema.tables import CONTENTS, PULLS, RECORDINGS, USAGE
from warehouse.snapshot.marts import MartSettings, build_marts


@pytest.fixture(scope="module")
def rows() -> tuple[list[Row], list[Row], list[Row]]:
    return generate_rows()


@pytest.fixture(scope="module")
def expected_marts(rows: tuple[list[Row], list[Row], list[Row]]) -> ExpectedMarts:
    return ExpectedMarts(*rows, people=PEOPLE)


@pytest.fixture(scope="module")
def database(rows: tuple[list[Row], list[Row], list[Row]]) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table, table_rows in zip((USAGE, RECORDINGS, PULLS), rows, strict=True):
            frame = pd.DataFrame(table_rows)
            for column in table.columns:
                if column.name not in frame:
                    frame[column.name] = None
            columns = ", ".join(f'"{c.name}"::{c.duckdb_type} AS "{c.name}"' for c in table.columns)
            connection.register("frame", frame)
            connection.execute(f"CREATE TABLE {table.name} AS SELECT {columns} FROM frame")
            connection.unregister("frame")
        fill(connection, CONTENTS, ())
        build_marts(connection, MartSettings(default=NEW_YORK, accounts={"second": SYDNEY}, people=PEOPLE))
        yield connection


@pytest.mark.parametrize("mart", MARTS, ids=lambda mart: mart.name)
def test_mart_has_the_expected_rows(
    database: duckdb.DuckDBPyConnection, expected_marts: ExpectedMarts, mart: Mart
) -> None:
    names = [column.name for column in mart.columns]
    found = database.execute(f"SELECT * FROM marts.{mart.name}").fetchall()
    expected = [tuple(row[name] for name in names) for row in getattr(expected_marts, mart.name)()]
    assert len(found) == len(expected) > 0
    key = len(mart.grain)
    if names[:key] != list(mart.grain):
        key = len(names)
    for actual, wanted in zip(sorted(found, key=_sort_key), sorted(expected, key=_sort_key), strict=True):
        assert len(actual) == len(wanted)
        assert all(map(_is_equal, actual, wanted)), dict(zip(names, zip(actual, wanted, strict=True), strict=True))


def _sort_key(row: tuple[Any, ...]) -> tuple[tuple[bool, str], ...]:
    return tuple((value is None, "" if isinstance(value, float) else str(value)) for value in row)


def _is_equal(actual: Any, wanted: Any) -> bool:
    if isinstance(actual, float) and isinstance(wanted, float | int):
        return math.isclose(actual, wanted, rel_tol=1e-9, abs_tol=1e-9)
    return bool(actual == wanted)


@pytest.mark.parametrize("mart", MARTS, ids=lambda mart: mart.name)
def test_grain_is_unique(database: duckdb.DuckDBPyConnection, mart: Mart) -> None:
    grain = ", ".join(mart.grain)
    duplicates = database.execute(f"SELECT {grain}, count(*) FROM marts.{mart.name} GROUP BY ALL HAVING count(*) > 1")
    assert duplicates.fetchall() == []


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
def test_each_record_counts_once(database: duckdb.DuckDBPyConnection, mart: str, total: str) -> None:
    assert database.execute(f"SELECT {total} FROM marts.{mart}").fetchall() == [(ROWS,)]


@pytest.mark.parametrize("mart", ["daily_activity", "daily_totals", "user_summary", "contacts", "client_daily"])
def test_credits_sum_to_those_of_the_table(database: duckdb.DuckDBPyConnection, mart: str) -> None:
    (mart_total,) = database.execute(f"SELECT sum(credits) FROM marts.{mart}").fetchall()
    assert database.execute("SELECT sum(credits) FROM usage").fetchall() == [mart_total]


def test_marts_and_columns_have_their_descriptions_as_comments(database: duckdb.DuckDBPyConnection) -> None:
    comments = dict(
        database.execute("SELECT table_name, comment FROM duckdb_tables() WHERE schema_name = 'marts'").fetchall()
    )
    assert comments == {mart.name: mart.description for mart in MARTS}
    columns = database.execute(
        "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE schema_name = 'marts'"
    ).fetchall()
    assert sorted(columns) == sorted((m.name, c.name, c.description) for m in MARTS for c in m.columns)
