"""Views that another program planted in the published file: none of them copies a local file into an output."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.support.raw_responses import WINDOW, call, create_folder, fold, response
from warehouse.checks.data_quality import find_by_select
from warehouse.checks.verification import Verification
from warehouse.errors import QueryFailed, SnapshotUnreadable
from warehouse.outputs.export import Selection, export
from warehouse.outputs.query import run_query
from warehouse.outputs.report import render_report
from warehouse.schema.tables import USAGE
from warehouse.snapshot.publish import publish
from warehouse.storage.paths import DataFolder

SECRET = "words of a local file"


def plant_views(folder: DataFolder) -> None:
    """Replace each published table by a view that reads a file outside the data folder."""
    outside = folder.root.parent / "outside.csv"
    outside.write_text(f"words\n{SECRET}\n")
    with duckdb.connect(str(folder.snapshot)) as connection:
        tables = connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE schema_name IN ('main', 'marts')"
        ).fetchall()
        for schema, name in tables:
            connection.execute(f"ALTER TABLE {schema}.{name} RENAME TO hidden_{name}")
            values = "hidden.* REPLACE (words AS user_id)" if name in {"usage", "recordings"} else "hidden.*"
            connection.execute(
                f"CREATE VIEW {schema}.{name} AS SELECT {values} "
                f"FROM read_csv('{outside}') LEFT JOIN {schema}.hidden_{name} AS hidden ON TRUE"
            )
        assert connection.execute("SELECT DISTINCT user_id FROM usage").fetchall() == [(SECRET,)]


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = create_folder(tmp_path / "data")
    fold(folder, response([call(), call("b")], 1))
    publish(folder)
    plant_views(folder)
    return folder


def _export(folder: DataFolder) -> None:
    export(folder, Selection(since=WINDOW.start, until=WINDOW.end), folder.root.parent / "extract")


@pytest.mark.parametrize(
    "read",
    [
        render_report,
        _export,
        lambda folder: list(Verification(folder=folder, since=WINDOW.start).find_mismatches()),
        lambda folder: find_by_select(folder, "unique_ids", USAGE),
    ],
)
def test_the_reader_fails_with_the_fix(folder: DataFolder, read: Callable[[DataFolder], object]) -> None:
    with pytest.raises(SnapshotUnreadable, match=r"another program has changed it.*iplum publish --full") as caught:
        read(folder)
    assert SECRET not in str(caught.value)
    assert not (folder.root.parent / "extract").exists()


def test_a_verification_finds_the_views(folder: DataFolder) -> None:
    found = [str(mismatch) for mismatch in Verification(folder=folder).find_mismatches()]
    assert found
    assert SECRET not in " ".join(found)


def test_a_query_fails(folder: DataFolder) -> None:
    with pytest.raises(QueryFailed, match="disabled"):
        list(run_query(folder, "FROM usage").rows)


@pytest.mark.parametrize("full", [False, True])
def test_the_next_publish_removes_the_view(folder: DataFolder, full: bool) -> None:
    fold(folder, response([call("c")], 2))
    publish(folder, full=full)
    assert len(list(run_query(folder, "FROM usage").rows)) == 3
    assert SECRET.encode() not in folder.snapshot.read_bytes()
    assert SECRET not in render_report(folder)
