"""Concurrent folds and publishes in several processes end in a correct snapshot."""

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from tests.support.raw_responses import WINDOW, call, create_folder, fold, response, rows_of, save
from warehouse.lake.fold import fold_window, is_up_to_date
from warehouse.outputs.query import run_query
from warehouse.raw.log import RawLog
from warehouse.schema.tables import USAGE
from warehouse.snapshot.publish import is_stale, publish
from warehouse.storage.atomic_files import remove_abandoned
from warehouse.storage.paths import DataFolder


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return create_folder(tmp_path)


def count(folder: DataFolder, sql: str = "SELECT count(*), count(DISTINCT record_id) FROM usage") -> tuple[int, ...]:
    (row,) = run_query(folder, sql).rows
    return row


def test_two_publishers_at_once_and_a_third_that_folds(folder: DataFolder) -> None:
    script = """
        import sys
        from pathlib import Path
        from tests.support.raw_responses import response, call, fold
        from warehouse.storage.paths import DataFolder
        from warehouse.snapshot.publish import publish
        folder = DataFolder(Path(sys.argv[1]), Path(sys.argv[2]))
        for n in range(3):
            fold(folder, response([call(f"{sys.argv[3]}-{n}")], n))
            publish(folder)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(folder.root), str(folder.state)]
    runs = [subprocess.Popen([*command, name], stderr=subprocess.PIPE, text=True) for name in "ab"]
    for run in runs:
        _, errors = run.communicate(timeout=60)
        assert run.returncode == 0, errors
    publish(folder)
    assert count(folder) == (6, 6)
    assert count(folder, "SELECT count(*) FROM pulls") == (6,)
    assert not is_stale(folder)


def test_folds_of_one_window_in_many_threads_leave_a_file_that_has_everything(folder: DataFolder) -> None:
    save(folder, response([call("first")], 0))
    failures: list[BaseException] = []

    def pull(number: int) -> None:
        try:
            save(folder, response([call(str(number))], number))
            fold_window(folder, USAGE, "default", WINDOW)
        except BaseException as failure:  # noqa: BLE001 a thread would swallow it
            failures.append(failure)

    threads = [threading.Thread(target=pull, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    # A fold that wrote last may have listed first; its second look is what publishing repeats.
    publish(folder)
    assert is_up_to_date(folder, USAGE, "default", WINDOW)
    assert sorted(rows_of(folder).index) == sorted(["first", *map(str, range(1, 9))])
    assert count(folder) == (9, 9)


def test_what_killed_runs_left_goes_with_a_later_publishing(folder: DataFolder) -> None:
    fold(folder, response([call()], 1))
    left = [
        folder.root / folder.raw_folder("usage", "default", WINDOW) / ".tmp-raw",
        (folder.root / folder.lake_file("usage", "default", WINDOW)).with_name(".tmp-lake"),
        folder.root / ".tmp-snapshot",
    ]
    fresh = left[0].with_name(".tmp-of-a-run-under-way")
    for path in (*left, fresh):
        path.write_text("half a file")
    for path in left:
        os.utime(path, (0, 0))
    publish(folder)
    assert [path.exists() for path in left] == [False, False, False]
    assert fresh.exists()
    remove_abandoned(fresh.parent, now=lambda: fresh.stat().st_mtime + 2 * 24 * 3600)
    assert not fresh.exists()


@pytest.mark.parametrize("name", ["account=other", "br[1]", "st*r", "it's", "per%20cent", "sp ace", "ünï", "raw"])
def test_the_data_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    folder = create_folder(tmp_path / name)
    fold(folder, response([call()], 1))
    publish(folder)
    query = "SELECT u.account, p.account, p.dataset, u.window_start::VARCHAR FROM usage u, pulls p"
    assert list(run_query(folder, query).rows) == [("default", "default", "usage", WINDOW.key)]


@pytest.mark.parametrize("account", ["null", "NULL", "007", "__HIVE_DEFAULT_PARTITION__", "a-b_C"])
def test_an_account_is_published_under_its_own_name(folder: DataFolder, account: str) -> None:
    RawLog(folder, account, "usage").append(WINDOW, response([call()], 1))
    publish(folder)
    assert list(run_query(folder, "SELECT DISTINCT account FROM usage").rows) == [(account,)]
