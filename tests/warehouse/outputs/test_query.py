"""Queries of users: read-only, restricted to the snapshot, with errors in one line."""

from pathlib import Path

import pytest

from tests.support.raw_responses import call, create_folder, fold, response
from warehouse.errors import NothingPublished, QueryFailed, SnapshotUnreadable
from warehouse.outputs.query import run_query
from warehouse.snapshot.publish import publish
from warehouse.storage.paths import DataFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> DataFolder:
    """Return a published folder with two rows, shared by all tests that only read."""
    folder = create_folder(tmp_path_factory.mktemp("published"))
    fold(folder, response([call(), call("b")], 1))
    publish(folder)
    return folder


def test_results_have_column_names_and_instants_in_utc(folder: DataFolder) -> None:
    result = run_query(folder, "SELECT record_id, started_at FROM usage ORDER BY 1;")
    assert result.columns == ("record_id", "started_at")
    rows = list(result.rows)
    assert [row[0] for row in rows] == ["a", "b"]
    assert rows[0][1].isoformat() == "2023-03-24T00:00:00+00:00"


def test_a_query_sees_days_and_instants_in_the_time_zone_of_the_session(folder: DataFolder) -> None:
    query = "SELECT started_at, started_at::DATE::VARCHAR FROM usage WHERE record_id = 'a'"
    ((instant, day),) = run_query(folder, query, time_zone="America/New_York").rows
    assert (instant.isoformat(), day) == ("2023-03-23T20:00:00-04:00", "2023-03-23")
    repeated = "SELECT unnest([TIMESTAMPTZ '2026-11-01 05:30Z', TIMESTAMPTZ '2026-11-01 06:30Z'])"
    assert [row[0].isoformat() for row in run_query(folder, repeated, time_zone="America/New_York").rows] == [
        "2026-11-01T01:30:00-04:00",
        "2026-11-01T01:30:00-05:00",
    ]


def test_a_time_before_the_year_1_in_the_time_zone_fails_the_query(folder: DataFolder) -> None:
    with pytest.raises(QueryFailed, match="before the year 1"):
        list(run_query(folder, "SELECT TIMESTAMPTZ '0001-01-01 00:00:00Z'", time_zone="America/New_York").rows)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM usage",
        "CREATE TABLE t (x INTEGER)",
        "COPY usage TO '{other_file}'",
        "SELECT * FROM read_csv('/etc/hosts')",
        "SELECT * FROM '{other_file}'",
        "ATTACH '{other_file}'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SELECT 1; SELECT 2",
        "SELEC",
        "",
    ],
)
def test_anything_but_a_single_select_is_rejected(folder: DataFolder, tmp_path: Path, sql: str) -> None:
    other_file = tmp_path / "other_file.parquet"
    with pytest.raises(QueryFailed, match=r"\w+"):
        list(run_query(folder, sql.format(other_file=other_file)).rows)
    assert not other_file.exists()
    assert len(list(run_query(folder, "FROM usage").rows)) == 2


def test_an_error_while_rows_are_read_is_a_query_failure(folder: DataFolder) -> None:
    with pytest.raises(QueryFailed, match="Conversion"):
        list(run_query(folder, "SELECT from_party::INTEGER FROM usage").rows)


def test_the_error_without_a_snapshot_says_to_run_a_sync(tmp_path: Path) -> None:
    with pytest.raises(NothingPublished, match="iplum sync"):
        run_query(create_folder(tmp_path), "SELECT 1")


def test_an_error_is_one_line_and_names_the_unknown_column(folder: DataFolder) -> None:
    with pytest.raises(QueryFailed) as caught:
        run_query(folder, "SELECT nothing\nFROM usage")
    assert "nothing" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_query_cannot_read_python_variables(folder: DataFolder) -> None:
    with pytest.raises(QueryFailed, match="Table with name folder does not exist"):
        run_query(folder, "SELECT * FROM folder")


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO usage SELECT * FROM usage",
        "UPDATE usage SET record_id = 'x'",
        "DROP TABLE usage",
        "EXPORT DATABASE '{folder}'",
        "COPY (SELECT 1) TO '{folder}/out.csv'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM read_text('/etc/hosts')",
        "CREATE SECRET s (TYPE s3)",
        "LOAD httpfs",
        "SET TimeZone = 'Asia/Tokyo'",
        "SET temp_directory = '/tmp'",
        "PRAGMA threads = 1",
        "RESET enable_external_access",
        "-- nothing",
    ],
)
def test_a_query_cannot_write_read_other_files_or_change_settings(folder: DataFolder, sql: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.root.rglob("*")}
    with pytest.raises(QueryFailed, match=r"\w+"):
        list(run_query(folder, sql.format(folder=folder.root)).rows)
    assert {path: path.stat().st_mtime_ns for path in folder.root.rglob("*")} == before


def test_a_running_query_keeps_its_snapshot_and_the_next_query_uses_the_new_one(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    fold(folder, response([call(), call("b")], 1))
    publish(folder)
    before = run_query(folder, "SELECT unnest(range(200_000)), count(*) FROM usage")
    first = next(before.rows)
    fold(folder, response([call("c")], 2))
    publish(folder)
    assert list(run_query(folder, "SELECT count(*) FROM usage").rows) == [(3,)]
    assert {row[1] for row in (first, *before.rows)} == {2}


def test_tables_can_be_named_with_and_without_their_schema(folder: DataFolder) -> None:
    for name in ("usage", "main.usage", "warehouse.main.usage", "pulls"):
        assert list(run_query(folder, f"SELECT count(*) > 0 FROM {name}").rows) == [(True,)]


def test_a_damaged_snapshot_is_named_with_the_fix(folder: DataFolder) -> None:
    folder.snapshot.write_bytes(b"no database")
    with pytest.raises(SnapshotUnreadable, match="publish --full"):
        run_query(folder, "SELECT 1")
