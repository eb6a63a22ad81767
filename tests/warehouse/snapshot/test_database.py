"""The snapshot under construction: memory limit, and what happens when it is exceeded."""

from pathlib import Path

import duckdb
import pytest

from tests.support.raw_responses import WINDOW, call, create_folder, fold, response
from warehouse.schema.tables import USAGE
from warehouse.snapshot.database import Snapshot, count_mart_rows, count_rows, open_snapshot
from warehouse.snapshot.marts import MartSettings, build_marts
from warehouse.storage.paths import DataFolder

ROWS = 2_000
#: Of each core: enough for the tables, and too little for the marts.
MEGABYTES = 2


@pytest.fixture
def lake_file(tmp_path: Path) -> Path:
    folder: DataFolder = create_folder(tmp_path)
    fold(folder, response([call(f"id-{number}", userId=f"user-{number}") for number in range(ROWS)], 1))
    return Path(folder.store.locate(folder.lake_file(USAGE.name, "default", WINDOW)))


def build(path: Path, lake_file: Path, megabytes_per_core: int = 128) -> None:
    with Snapshot(path, spill_folder=path.parent / "spill", megabytes_per_core=megabytes_per_core) as snapshot:
        snapshot.create()
        snapshot.insert(USAGE, [lake_file])
        snapshot.finish(MartSettings())


def test_marts_that_need_more_memory_than_is_meant_for_them_get_it(tmp_path: Path, lake_file: Path) -> None:
    roomy, tight = tmp_path / "roomy.duckdb", tmp_path / "tight.duckdb"
    build(roomy, lake_file)
    build(tight, lake_file, megabytes_per_core=MEGABYTES)
    assert count_rows(tight)["usage"] == ROWS
    assert count_mart_rows(tight) == count_mart_rows(roomy)
    assert count_mart_rows(tight)["user_summary"] == ROWS
    with duckdb.connect(str(roomy)) as connection:
        (cores,) = connection.execute("SELECT current_setting('threads')").fetchall()[0]
        connection.execute(f"SET memory_limit = '{cores * MEGABYTES}MB'")
        with pytest.raises(duckdb.OutOfMemoryException):
            build_marts(connection, MartSettings())


def test_a_planted_view_cannot_read_files(tmp_path: Path, lake_file: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    build(path, lake_file)
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"CREATE VIEW planted AS SELECT * FROM read_text('{__file__}')")
    with open_snapshot(path) as connection, pytest.raises(duckdb.PermissionException):
        connection.execute("FROM planted").fetchall()
    with open_snapshot(path, reads_files=True) as connection:
        assert len(connection.execute("FROM planted").fetchall()) == 1
