"""A WAL that another program left next to the published file."""

import logging
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.support.raw_responses import call, create_folder, fold, response
from warehouse.errors import StorageFailed
from warehouse.outputs.query import run_query
from warehouse.outputs.report import write_report
from warehouse.snapshot.database import count_rows
from warehouse.snapshot.publish import is_stale, publish
from warehouse.storage.paths import DataFolder

# It ends without a checkpoint, as a tool that is killed.
WRITE = """
import duckdb, os, sys
connection = duckdb.connect(sys.argv[1])
connection.execute("SET checkpoint_threshold = '1TB'")
connection.execute("CREATE TABLE IF NOT EXISTS mine AS SELECT 1 AS one")
connection.execute("INSERT INTO usage SELECT * REPLACE ('planted' AS record_id) FROM usage LIMIT 1")
os._exit(0)
"""
IDS = "SELECT record_id FROM usage ORDER BY 1"


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = create_folder(tmp_path)
    fold(folder, response([call()], 1))
    publish(folder)
    return folder


def write_as_another_program(folder: DataFolder) -> Path:
    subprocess.run([sys.executable, "-c", WRITE, str(folder.snapshot)], check=True)
    wal = folder.snapshot.with_name("warehouse.duckdb.wal")
    assert wal.stat().st_size
    return wal


def list_ids(folder: DataFolder) -> list[str]:
    return [record_id for (record_id,) in run_query(folder, IDS).rows]


def test_a_wal_that_fits_is_not_read_and_removed_with_a_note(
    folder: DataFolder, caplog: pytest.LogCaptureFixture
) -> None:
    wal = write_as_another_program(folder)
    refused = r"for writing and left warehouse.duckdb.wal.*run 'iplum publish'"
    with pytest.raises(StorageFailed, match=refused):
        list_ids(folder)
    with pytest.raises(StorageFailed, match=refused):
        write_report(folder)
    with pytest.raises(StorageFailed, match=refused):
        count_rows(folder.snapshot)
    fold(folder, response([call("b")], 2))
    with caplog.at_level(logging.WARNING, "warehouse"):
        publish(folder)
    assert not wal.exists()
    (note,) = [record.getMessage() for record in caplog.records]
    assert note.startswith(f"removed {wal}: another program opened warehouse.duckdb for writing")
    with duckdb.connect(str(folder.snapshot), read_only=True) as connection:
        assert connection.execute(IDS).fetchall() == [("a",), ("b",)], "no planted record"
        assert connection.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'mine'").fetchall() == [(0,)]


@pytest.mark.parametrize("kind", ["of an earlier file", "garbage", "empty"])
def test_a_wal_that_does_not_fit_breaks_nothing(folder: DataFolder, kind: str) -> None:
    wal = write_as_another_program(folder)
    content = wal.read_bytes()
    fold(folder, response([call(), call("b")], 2))
    publish(folder)
    wal.write_bytes({"of an earlier file": content, "garbage": content[:40] + b"\xff" * 5000, "empty": b""}[kind])
    assert is_stale(folder), "so that the sensor publishes"
    assert publish(folder).rows["usage"] == 2, "nothing was due"
    assert not wal.exists()
    assert len(list_ids(folder)) == 2


def test_a_program_that_still_has_the_file_open_for_writing_does_not_block_a_publish(folder: DataFolder) -> None:
    program = WRITE.replace("os._exit(0)", "print('ready', flush=True); sys.stdin.read()")
    command = [sys.executable, "-c", program, str(folder.snapshot)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        fold(folder, response([call(), call("b")], 2))
        assert publish(folder).rows["usage"] == 2
        assert len(list_ids(folder)) == 2
        process.kill()
