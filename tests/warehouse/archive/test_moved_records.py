"""Contents and recordings of a record whose start is corrected across the edge of a window."""

from pathlib import Path
from typing import Any

from tests.support.raw_responses import at, call, create_folder, response, save
from warehouse.archive.backlog import find_backlog
from warehouse.archive.download_log import DownloadAttempt, DownloadLog, fold_download_log
from warehouse.checks.verification import Verification
from warehouse.outputs.query import run_query
from warehouse.schema.tables import CONTENTS
from warehouse.snapshot.publish import publish
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of_key

BEFORE, AFTER = window_of_key("2023-03-21"), window_of_key("2023-03-26")
IN_BEFORE, IN_AFTER = "2023-03-25T23:59:58Z", "2023-03-26T00:00:03Z"


def pull(folder: DataFolder, hours: float, window: StorageWindow, *starts: str) -> None:
    """Store a pull of a window with the text `t1` at each of the starts."""
    records = [call("t1", start, usage="text") for start in starts]
    save(folder, response(records, hours, window=window), window=window)


def download(folder: DataFolder, hours: float, window: StorageWindow, body: str) -> None:
    DownloadLog(folder, "default", "contents").append(window, [DownloadAttempt.of_body("t1", body, at(hours))])
    fold_download_log(folder, CONTENTS, "default", window)


def select(folder: DataFolder, sql: str) -> list[tuple[Any, ...]]:
    return list(run_query(folder, sql).rows)


def find_backlogs(folder: DataFolder) -> list[str]:
    return [
        record_id
        for window in (BEFORE, AFTER)
        for record_id in find_backlog(folder, CONTENTS, "default", window, now=at(1000))
    ]


def test_a_moved_text_has_one_content_and_is_not_downloaded_again(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    pull(folder, 1, BEFORE, IN_BEFORE)
    publish(folder)
    download(folder, 2, BEFORE, "hello")
    pull(folder, 3, AFTER, IN_AFTER)
    publish(folder)
    rows = "SELECT record_id, window_start::VARCHAR, body FROM contents"
    assert select(folder, rows) == [("t1", AFTER.key, "hello")]
    assert select(folder, "SELECT record_id, body, status FROM messages") == [("t1", "hello", "verified")]
    assert find_backlogs(folder) == []

    pull(folder, 4, AFTER)
    pull(folder, 5, BEFORE, IN_BEFORE)
    publish(folder)
    assert select(folder, rows) == [("t1", BEFORE.key, "hello")], "it moved back"
    assert select(folder, "SELECT attempts FROM contents") == [(1,)]
    assert find_backlogs(folder) == []
    assert [str(mismatch) for mismatch in Verification(folder=folder).find_mismatches()] == []


def test_downloads_in_both_windows_are_one_row(tmp_path: Path) -> None:
    """Both windows were archived before a publish linked them."""
    folder = create_folder(tmp_path)
    pull(folder, 1, BEFORE, IN_BEFORE)
    pull(folder, 2, AFTER, IN_AFTER)
    download(folder, 3, BEFORE, "first")
    download(folder, 4, AFTER, "second")
    publish(folder)
    assert select(folder, "SELECT body, attempts FROM contents") == [("first", 2)]
    publish(folder, full=True)
    assert select(folder, "SELECT body, attempts FROM contents") == [("first", 2)]
