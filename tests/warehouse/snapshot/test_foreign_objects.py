"""Objects that another program adds to the published file, or removes: the next publish rebuilds it."""

from pathlib import Path

import duckdb
import pytest

from tests.support.raw_responses import call, create_folder, fold, response
from warehouse.snapshot.database import open_snapshot
from warehouse.snapshot.publish import publish


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE main.foreign_table AS SELECT 42 AS x",
        "CREATE VIEW marts.foreign_view AS SELECT 42 AS x",
        "CREATE MACRO foreign_macro() AS 42",
        "DROP VIEW messages",
        "DROP TABLE marts.daily_totals",
    ],
)
def test_the_next_publish_rebuilds_the_file(tmp_path: Path, statement: str) -> None:
    folder = create_folder(tmp_path)
    fold(folder, response([call("a")], hours=1))
    publish(folder)
    with duckdb.connect(str(folder.snapshot)) as connection:
        connection.execute(statement)
        connection.execute("CHECKPOINT")
    assert publish(folder).rebuilt
    assert not publish(folder).rebuilt
    with open_snapshot(folder.snapshot) as connection:
        (found,) = connection.execute(
            "SELECT count(*) FROM duckdb_tables() WHERE table_name IN ('foreign_table', 'daily_totals')"
        ).fetchall()
        assert found == (1,)
        assert connection.execute("SELECT count(*) FROM messages").fetchall() == [(0,)]
