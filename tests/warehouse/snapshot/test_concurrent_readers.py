"""Concurrent folds and publishes, abandoned files, and names of folders and accounts."""

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


def test_two_processes_that_fold_and_publish_lose_no_rows(folder: DataFolder) -> None:
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
    processes = [subprocess.Popen([*command, name], stderr=subprocess.PIPE, text=True) for name in "ab"]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    publish(folder)
    assert count(folder) == (6, 6)
    assert count(folder, "SELECT count(*) FROM pulls") == (6,)
    assert not is_stale(folder)


def test_concurrent_folds_of_one_window_lose_no_response(folder: DataFolder) -> None:
    save(folder, response([call("first")], 0))
    failures: list[BaseException] = []

    def pull(number: int) -> None:
        try:
            save(folder, response([call(str(number))], number))
            fold_window(folder, USAGE, "default", WINDOW)
        except BaseException as failure:  # noqa: BLE001 - an exception in a thread is not reported otherwise
            failures.append(failure)

    threads = [threading.Thread(target=pull, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    # The fold that wrote last may have listed first. Publishing folds such a window again.
    publish(folder)
    assert is_up_to_date(folder, USAGE, "default", WINDOW)
    assert sorted(rows_of(folder).index) == sorted(["first", *map(str, range(1, 9))])
    assert count(folder) == (9, 9)


def test_publishing_removes_old_temporary_files_of_killed_runs(folder: DataFolder) -> None:
    fold(folder, response([call()], 1))
    abandoned = [
        folder.root / folder.raw_folder("usage", "default", WINDOW) / ".tmp-raw",
        (folder.root / folder.lake_file("usage", "default", WINDOW)).with_name(".tmp-lake"),
        folder.root / ".tmp-snapshot",
    ]
    recent = abandoned[0].with_name(".tmp-of-a-running-process")
    for path in (*abandoned, recent):
        path.write_text("part of a file")
    for path in abandoned:
        os.utime(path, (0, 0))
    publish(folder)
    assert [path.exists() for path in abandoned] == [False, False, False]
    assert recent.exists()
    remove_abandoned(recent.parent, now=lambda: recent.stat().st_mtime + 2 * 24 * 3600)
    assert not recent.exists()


@pytest.mark.parametrize("name", ["account=other", "br[1]", "st*r", "it's", "per%20cent", "sp ace", "ünï", "raw"])
def test_the_data_folder_can_have_any_name(tmp_path: Path, name: str) -> None:
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
