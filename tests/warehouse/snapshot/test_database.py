"""Building of the snapshot: memory limit, and protection against planted views."""

from pathlib import Path

import duckdb
import pytest

from tests.support.raw_responses import WINDOW, call, create_folder, fold, response
from warehouse.schema.tables import USAGE
from warehouse.snapshot.database import Snapshot, count_mart_rows, count_rows, open_snapshot
from warehouse.snapshot.marts import MartSettings, build_marts
from warehouse.storage.paths import DataFolder

ROWS = 2_000
#: Memory limit per core: enough for the tables but not for the marts.
TOO_FEW_MEGABYTES = 2


@pytest.fixture
def lake_file(tmp_path: Path) -> Path:
    folder: DataFolder = create_folder(tmp_path)
    fold(folder, response([call(f"id-{number}", userId=f"user-{number}") for number in range(ROWS)], 1))
    return Path(folder.store.locate(folder.lake_file(USAGE.name, "default", WINDOW)))


def build(path: Path, lake_file: Path, megabytes_per_core: int = 128) -> None:
    with Snapshot(
        path, spill_folder=path.parent / "spill", reads=path.parent, megabytes_per_core=megabytes_per_core
    ) as snapshot:
        snapshot.create()
        snapshot.insert(USAGE, [lake_file])
        snapshot.finish(MartSettings())


def test_marts_are_built_without_the_memory_limit_if_it_is_too_low(tmp_path: Path, lake_file: Path) -> None:
    unlimited, limited = tmp_path / "unlimited.duckdb", tmp_path / "limited.duckdb"
    build(unlimited, lake_file)
    build(limited, lake_file, megabytes_per_core=TOO_FEW_MEGABYTES)
    assert count_rows(limited)["usage"] == ROWS
    assert count_mart_rows(limited) == count_mart_rows(unlimited)
    assert count_mart_rows(limited)["user_summary"] == ROWS
    with duckdb.connect(str(unlimited)) as connection:
        (cores,) = connection.execute("SELECT current_setting('threads')").fetchall()[0]
        connection.execute(f"SET memory_limit = '{cores * TOO_FEW_MEGABYTES}MB'")
        with pytest.raises(duckdb.OutOfMemoryException):
            build_marts(connection, MartSettings())


def test_a_planted_view_cannot_read_files(tmp_path: Path, lake_file: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    build(path, lake_file)
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"CREATE VIEW planted AS SELECT * FROM read_text('{__file__}')")
    with open_snapshot(path) as connection, pytest.raises(duckdb.PermissionException):
        connection.execute("FROM planted").fetchall()
    with open_snapshot(path, reads=tmp_path) as connection, pytest.raises(duckdb.PermissionException):
        connection.execute("FROM planted").fetchall()
    with open_snapshot(path, reads=Path(__file__).parent) as connection:
        assert len(connection.execute("FROM planted").fetchall()) == 1
