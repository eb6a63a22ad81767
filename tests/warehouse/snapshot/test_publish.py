"""Publishing: schema, full and incremental publishes, readers, permissions, full disks and killed runs."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.support.raw_responses import WINDOW, call, create_folder, fold, response, save
from warehouse.errors import PublishedInPart, PublisherBusy, StorageFailed
from warehouse.schema.tables import ACTIVITY, MESSAGES, PUBLISHED_TABLES, RECORDINGS, VIEWS
from warehouse.snapshot.marts import AccountSettings, MartSettings
from warehouse.snapshot.publish import is_stale, publish
from warehouse.storage.atomic_files import Modes
from warehouse.storage.paths import DataFolder

OTHER = WINDOW.next()
RECORDING = {"recordId": "r", "dateTimeUTC": "2023-03-22T00:24:00Z", "duration": "3", "length": "2 KB"}

#: The documented columns, in order. A change breaks users' queries.
COLUMNS = {
    "usage": "account record_id source client_reference_id channel type direction from_party to_party "
    "counterparty counterparty_kind user_id started_at ended_at duration_minutes credits origin first_seen_at "
    "last_seen_at absent_since window_start extra",
    "recordings": "account record_id source client_reference_id phone_number direction user_id recorded_at "
    "duration_minutes length_text length_bytes origin first_seen_at last_seen_at absent_since window_start extra",
    "contents": "account record_id kind body sha256 bytes media_type path status attempts error fetched_at origin "
    "window_start",
    "recording_files": "account record_id sha256 bytes media_type path status attempts error fetched_at window_start",
    "pulls": "account dataset window_start request_start request_end usage_types reason pull_id complete "
    "pulled_at rows body_bytes body_sha256",
}


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return create_folder(tmp_path)


def query(folder: DataFolder, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(folder.snapshot), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(sql).fetchall()


def read_all(folder: DataFolder) -> dict[str, list[tuple[Any, ...]]]:
    return {table.name: query(folder, f"SELECT * FROM {table.name} ORDER BY ALL") for table in PUBLISHED_TABLES}


def fill(folder: DataFolder) -> None:
    fold(folder, response([call(), call("b", new=1), call("edge", "2023-03-26T00:00:00Z")], 1))
    fold(folder, response([call("c", "2023-03-27T00:00:00Z")], 2, window=OTHER), window=OTHER)
    fold(folder, response([RECORDING], 1, types=None), table=RECORDINGS)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_table_has_the_documented_columns(folder: DataFolder, name: str) -> None:
    publish(folder)
    described = query(folder, f"SELECT column_name FROM (DESCRIBE {name})")
    assert [column for (column,) in described] == COLUMNS[name].split()


def test_types_and_comments_match_the_schema(folder: DataFolder) -> None:
    publish(folder)
    comments = dict(query(folder, "SELECT table_name || '.' || column_name, comment FROM duckdb_columns()"))
    for table in (*PUBLISHED_TABLES, *VIEWS):
        assert {comments[f"{table.name}.{column.name}"] for column in table.columns} == {
            column.description for column in table.columns
        }
    types = dict(query(folder, "SELECT column_name, column_type FROM (DESCRIBE usage)"))
    assert (types["started_at"], types["window_start"]) == ("TIMESTAMP WITH TIME ZONE", "DATE")
    assert (types["credits"], types["extra"]) == ("DOUBLE", "VARCHAR")


def test_folded_rows_are_published(folder: DataFolder) -> None:
    fill(folder)
    publication = publish(folder)
    assert publication.rows == {"usage": 4, "recordings": 1, "contents": 0, "recording_files": 0, "pulls": 4}
    assert query(folder, "SELECT record_id, window_start::VARCHAR FROM usage ORDER BY 1") == [
        ("a", "2023-03-21"),
        ("b", "2023-03-21"),
        ("c", "2023-03-26"),
        ("edge", "2023-03-26"),
    ]
    assert query(folder, "SELECT reason, count(*) FROM pulls WHERE dataset = 'usage' GROUP BY 1 ORDER BY 1") == [
        ("pull", 2),
        ("stray", 1),
    ]
    assert query(folder, "SELECT length_bytes FROM recordings") == [(2048,)]


def test_the_view_messages_has_the_documented_columns(folder: DataFolder) -> None:
    fold(folder, response([call(), call("t", usage="text")], 1))
    publish(folder)
    described = query(folder, "SELECT column_name FROM (DESCRIBE messages)")
    assert [column for (column,) in described] == [column.name for column in MESSAGES.columns]
    assert query(folder, "SELECT record_id, status FROM messages") == [("t", "not fetched")]


def test_the_view_activity_has_the_documented_columns_and_types(folder: DataFolder) -> None:
    fold(folder, response([call(), call("t", usage="text")], 1))
    publish(folder, MartSettings(default=AccountSettings(time_zone="America/New_York")))
    described = query(folder, "SELECT column_name, column_type FROM (DESCRIBE activity)")
    types = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}
    assert described == [(c.name, types.get(c.duckdb_type, c.duckdb_type)) for c in ACTIVITY.columns]
    local = "local_started_at::VARCHAR, local_date::VARCHAR, local_hour, weekday, in_business_hours"
    assert query(folder, f"SELECT {local} FROM activity") == [("2023-03-23 20:00:00", "2023-03-23", 20, 4, False)] * 2


def test_an_incremental_and_a_full_publish_give_the_same_tables(folder: DataFolder) -> None:
    fill(folder)
    assert publish(folder).rebuilt
    fold(folder, response([call(duration="7")], 3))
    incremental = publish(folder)
    assert (incremental.rebuilt, incremental.replaced["usage"], incremental.replaced["recordings"]) == (False, 1, 0)
    tables = read_all(folder)
    assert publish(folder, full=True).rebuilt
    assert read_all(folder) == tables


def test_the_snapshot_is_not_written_if_nothing_changed(folder: DataFolder) -> None:
    fill(folder)
    publish(folder)
    before = folder.snapshot.stat()
    assert set(publish(folder).replaced.values()) == {0}
    assert folder.snapshot.stat().st_ino == before.st_ino


def test_a_window_removed_from_the_lake_is_removed_from_the_tables(folder: DataFolder) -> None:
    fill(folder)
    publish(folder)
    for kind in ("raw", "lake"):
        for path in (folder.root / kind / "usage").rglob("*"):
            if path.is_file() and OTHER.key in str(path):
                path.unlink()
    for path in sorted((folder.root).rglob(f"window_start={OTHER.key}"), reverse=True):
        path.rmdir()
    publish(folder)
    assert query(folder, "SELECT DISTINCT window_start::VARCHAR FROM usage") == [("2023-03-21",)]


@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_bytes(b"not a database"), os.truncate])
def test_a_missing_or_damaged_snapshot_is_rebuilt(folder: DataFolder, damage: Any) -> None:
    fill(folder)
    publish(folder)
    tables = read_all(folder)
    damage(folder.snapshot, 3000) if damage is os.truncate else damage(folder.snapshot)
    assert is_stale(folder)
    assert publish(folder).rebuilt
    assert read_all(folder) == tables


@pytest.mark.parametrize("keep_bytes", [None, 0, 100])
def test_a_missing_or_truncated_lake_file_is_folded_again(folder: DataFolder, keep_bytes: int | None) -> None:
    fill(folder)
    publish(folder)
    tables = read_all(folder)
    lake_file = folder.root / folder.lake_file("usage", "default", WINDOW)
    lake_file.unlink() if keep_bytes is None else os.truncate(lake_file, keep_bytes)
    assert is_stale(folder)
    assert publish(folder).refolded == 1
    assert read_all(folder) == tables


def test_a_damaged_raw_file_is_reported_with_its_name_and_the_fix(folder: DataFolder) -> None:
    fill(folder)
    (path,) = (folder.root / key for key in folder.raw_files("usage", "default", WINDOW))
    path.write_bytes(b"x" * 100)
    (folder.root / folder.lake_file("usage", "default", WINDOW)).unlink()
    with pytest.raises(PublishedInPart, match="Restore the files from a backup") as caught:
        publish(folder)
    assert path.name in str(caught.value)


def test_a_response_of_a_run_killed_before_its_fold_is_published(folder: DataFolder) -> None:
    fill(folder)
    publish(folder)
    save(folder, response([call("killed")], 5))
    assert is_stale(folder)
    assert publish(folder).refolded == 1
    assert query(folder, "SELECT count(*) FROM usage WHERE record_id = 'killed'") == [(1,)]
    assert not is_stale(folder)


def test_a_reader_keeps_the_snapshot_it_opened(folder: DataFolder) -> None:
    fill(folder)
    publish(folder)
    with duckdb.connect(str(folder.snapshot), read_only=True) as reader:
        fold(folder, response([call("later")], 4))
        publish(folder)
        assert reader.execute("SELECT count(*) FROM usage").fetchall() == [(4,)]
    assert query(folder, "SELECT count(*) FROM usage") == [(5,)]


def test_files_are_private_and_no_temporary_file_is_left(folder: DataFolder) -> None:
    fill(folder)
    publish(folder)
    for path in folder.root.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
        assert not path.name.startswith(".tmp"), path


def test_files_are_readable_by_the_configured_group(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data", tmp_path / "state", Modes(os.getgid()))
    fill(folder)
    publish(folder)
    for path in folder.root.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o750 if path.is_dir() else 0o640), path


def test_older_versions_of_duckdb_can_read_the_file(folder: DataFolder) -> None:
    """DuckDB 1.x, used by BI drivers, cannot read the format of 2.0 (docs/design.md, "Storage version")."""
    publish(folder)
    header = folder.snapshot.read_bytes()[:64]
    assert header[8:12] == b"DUCK"
    assert int.from_bytes(header[12:20], "little") <= 65, "the storage version of DuckDB 1.2"


def test_a_file_size_limit_is_reported_and_leaves_no_files(folder: DataFolder) -> None:
    script = """
        import resource, sys
        from pathlib import Path
        from warehouse.errors import StorageFailed
        from warehouse.storage.paths import DataFolder
        from warehouse.snapshot.publish import publish
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            publish(DataFolder(Path(sys.argv[1]), Path(sys.argv[2])))
        except StorageFailed as error:
            print(error)
    """
    fill(folder)
    done = run_script(script, folder)
    assert "warehouse.duckdb" in done.stdout
    assert "run again" in done.stdout, done.stderr
    assert not folder.snapshot.exists()
    assert not list(folder.root.glob(".tmp*"))
    assert publish(folder).rows["usage"] == 4


def test_a_file_in_the_place_of_the_data_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StorageFailed, match="a file is in the place of a folder"):
        publish(create_folder(tmp_path))


def test_a_publisher_waits_for_the_lock_and_times_out(folder: DataFolder) -> None:
    fill(folder)
    publish(folder)
    script = """
        import sys, time
        from filelock import FileLock
        with FileLock(sys.argv[2] + "/locks/publish.lock"):
            print("locked", flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(folder.root), str(folder.state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(PublisherBusy, match="iplum publish"):
            publish(folder, wait_seconds=0.1)
        holder.kill()
    assert publish(folder).rows["usage"] == 4


def test_a_publish_killed_at_any_time_loses_and_duplicates_no_row(folder: DataFolder) -> None:
    script = """
        import itertools, sys
        from pathlib import Path
        from tests.support.raw_responses import response, call, fold
        from warehouse.storage.paths import DataFolder
        from warehouse.snapshot.publish import publish
        folder = DataFolder(Path(sys.argv[1]), Path(sys.argv[2]))
        print("started", flush=True)
        for n in itertools.count():
            fold(folder, response([call(str(k), duration=str(n)) for k in range(50)], n))
            publish(folder)
    """
    randomness = random.Random(1)
    for _ in range(5):
        command = [sys.executable, "-c", textwrap.dedent(script), str(folder.root), str(folder.state)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            time.sleep(randomness.uniform(0.05, 0.6))
            process.send_signal(signal.SIGKILL)
        publish(folder)
        assert query(folder, "SELECT count(*), count(DISTINCT record_id) FROM usage") in ([(50, 50)], [(0, 0)])
    tables = read_all(folder)
    publish(folder, full=True)
    assert read_all(folder) == tables


def run_script(script: str, folder: DataFolder) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", textwrap.dedent(script), str(folder.root), str(folder.state)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
