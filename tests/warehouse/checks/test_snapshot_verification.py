"""Verification of the published file: every table, view, mart and setting is compared with what it is made from."""

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from tests.support.raw_responses import WINDOW, at, call, create_folder, fold, response
from warehouse.archive.download_log import DownloadAttempt, DownloadLog, fold_download_log
from warehouse.checks.verification import Verification
from warehouse.raw.deletion_log import DeletionRecord, save_deletion_record
from warehouse.schema.tables import CONTENTS
from warehouse.snapshot.publish import publish
from warehouse.storage.paths import DataFolder


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = create_folder(tmp_path)
    fold(folder, response([call("a", usage="text"), call("b")], 1))
    DownloadLog(folder, "default", "contents").append(WINDOW, [DownloadAttempt.of_body("a", "hello", at(2))])
    fold_download_log(folder, CONTENTS, "default", WINDOW)
    publish(folder)
    return folder


def verify(folder: DataFolder) -> list[str]:
    return [str(mismatch) for mismatch in Verification(folder=folder).find_mismatches()]


def test_an_untouched_snapshot_has_no_mismatch(folder: DataFolder) -> None:
    assert verify(folder) == []
    fold(folder, response([call("a", usage="text"), call("b", duration="9")], 3))
    publish(folder)
    assert verify(folder) == [], "after an incremental publish"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE marts.daily_totals SET records = records + 1", "rows of marts.daily_totals differ"),
        ("DELETE FROM marts.completeness", "rows of marts.completeness differ"),
        ("UPDATE pulls SET rows = 99", "rows of pulls default 2023-03-21 differ"),
        ("UPDATE usage SET credits = 99 WHERE record_id = 'a'", "2 rows of usage default 2023-03-21 differ"),
        ("DELETE FROM contents", "1 rows of contents default 2023-03-21 differ"),
        (
            "INSERT INTO usage BY NAME SELECT * REPLACE (DATE '2001-01-01' AS window_start) FROM usage LIMIT 1",
            "1 rows of usage default 2001-01-01 differ",
        ),
        ("UPDATE publication.settings SET time_zone = 'Asia/Tokyo'", "rows of publication.settings differ"),
        ("CREATE TABLE marts.notes (note VARCHAR)", "table marts.notes was added by another program"),
        ("CREATE VIEW main.calls AS FROM usage", "view main.calls was added by another program"),
        ("CREATE OR REPLACE VIEW messages AS SELECT 'x' AS body", "view main.messages is missing or was changed"),
        ("DROP VIEW messages", "view main.messages is missing or was changed"),
        ("CREATE OR REPLACE MACRO window_end(day) AS day", "macro main.window_end is missing or was changed"),
    ],
)
def test_a_changed_snapshot_is_found_and_rebuilt(folder: DataFolder, change: str, found: str) -> None:
    with duckdb.connect(str(folder.snapshot)) as connection:
        connection.execute(change)
    assert any(found in mismatch and "publish --full" in mismatch for mismatch in verify(folder)), verify(folder)
    publish(folder, full=True)
    assert verify(folder) == []


def test_rows_of_deleted_windows_are_found(folder: DataFolder) -> None:
    """An archive run of an earlier version stored texts of a deleted window."""
    deletion = DeletionRecord(
        account="default", before=WINDOW.next().key, older_than_days=1, began_at=WINDOW.end + timedelta(days=1)
    )
    save_deletion_record(folder, deletion)
    mismatches = verify(folder)
    assert any("the deletion before 2023-03-26 of account default is not finished" in one for one in mismatches)
    assert any("2 rows of usage default 2023-03-21 were to be deleted" in one for one in mismatches)
    assert any("1 rows of contents default 2023-03-21 were to be deleted" in one for one in mismatches)


def test_damaged_holds_are_found(folder: DataFolder) -> None:
    folder.store.write("holds.json", b"{")
    assert any("holds.json" in mismatch for mismatch in verify(folder))
