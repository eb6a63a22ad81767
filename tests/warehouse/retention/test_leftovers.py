"""Retention removes media files without a record, and lists the raw files of other windows that it writes again."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.raw_responses import call, create_folder, fold, response
from tests.support.s3 import S3Server
from tests.warehouse.retention.test_deletion import FIRST_KEPT, NOW, OLD, archive, declare_hold, delete_old, text
from warehouse.archive.media_store import MediaStore
from warehouse.retention.deletion import Retention
from warehouse.snapshot.publish import publish
from warehouse.storage.paths import DataFolder

CONTENT = b"%PDF-1.4 of a record that was deleted while it was archived"


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = create_folder(tmp_path)
    fold(folder, response([text("recent", "2023-03-22")], 1, window=FIRST_KEPT), window=FIRST_KEPT)
    return folder


def store(folder: DataFolder, content: bytes = CONTENT, *, age: timedelta = timedelta(days=2)) -> Path:
    """Store a file without a record, changed `age` before NOW."""
    with MediaStore(folder).open_incoming() as incoming:
        incoming.sink.write(content)
        path = folder.root / MediaStore(folder).store(incoming, expected="any").path
    changed = (NOW - age).timestamp()
    os.utime(path, (changed, changed))
    return path


def test_a_media_file_without_a_record_is_deleted_and_recorded(folder: DataFolder) -> None:
    leftover = store(folder)
    kept = folder.root / archive(folder, FIRST_KEPT, "recent", b"%PDF-1.4 of a record that stays")
    os.utime(kept, (0, 0))
    deletion = delete_old(folder)
    assert [file["path"] for file in deletion.files] == [leftover.relative_to(folder.root).as_posix()]
    assert (deletion.files[0]["bytes"], deletion.files_kept) == (len(CONTENT), [])
    assert not leftover.exists()
    assert kept.exists()


def test_a_young_file_is_left_to_the_archive_run_that_stores_it(folder: DataFolder) -> None:
    young = store(folder, age=timedelta(hours=23))
    assert delete_old(folder).files == []
    assert young.exists()


def test_a_file_that_an_archive_run_stores_again_is_young(folder: DataFolder) -> None:
    leftover = store(folder)
    store(folder, age=timedelta(0))
    assert delete_old(folder).files == []
    assert leftover.exists()


def test_a_file_that_gets_a_record_after_the_plan_is_kept(folder: DataFolder) -> None:
    leftover = store(folder)
    retention = Retention(folder, "default")
    deletion = retention.plan(older_than_days=10, now=NOW)
    archive(folder, FIRST_KEPT, "recent", CONTENT)
    retention.carry_out(deletion)
    assert leftover.exists()
    assert deletion.files_kept == [file["sha256"] for file in deletion.files] != []


def test_a_file_whose_download_log_is_lost_is_kept_while_a_row_has_it(folder: DataFolder) -> None:
    kept = folder.root / archive(folder, FIRST_KEPT, "recent", CONTENT)
    os.utime(kept, (0, 0))
    for name in folder.raw_files("contents", "default", FIRST_KEPT):
        (folder.root / name).unlink()
    assert Retention(folder, "default").plan(older_than_days=10, now=NOW).files == []


def test_with_a_legal_hold_of_any_account_no_such_file_is_deleted(folder: DataFolder) -> None:
    leftover = store(folder)
    declare_hold(folder, account="other", user="ann@clinic.example")
    assert delete_old(folder).files == []
    assert leftover.exists()


def test_files_that_are_not_named_by_a_hash_are_left_alone(folder: DataFolder) -> None:
    for name in ("media/ab/.DS_Store", "media/ab/abcd.pdf", f"media/cd/{'a' * 64}.pdf"):
        (folder.root / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.root / name).write_bytes(b"x")
        os.utime(folder.root / name, (0, 0))
    assert delete_old(folder).files == []


def test_in_a_bucket_the_age_is_that_of_the_upload(s3_server: S3Server, tmp_path: Path) -> None:
    folder = DataFolder.in_bucket(s3_server.create_bucket(), tmp_path / "state", create_folder(tmp_path).modes)
    key = folder.media_file("ab" * 32, "pdf")
    folder.store.write(key, CONTENT)
    uploaded = folder.store.read_status(key).modified_at
    retention = Retention(folder, "default")
    assert retention.plan(older_than_days=10, now=uploaded + timedelta(hours=23)).files == []
    deletion = retention.plan(older_than_days=10, now=uploaded + timedelta(hours=25))
    assert [file["path"] for file in deletion.files] == [key]
    retention.carry_out(deletion)
    assert not folder.store.exists(key)


def test_raw_files_of_other_windows_that_are_written_again_are_listed(folder: DataFolder) -> None:
    """The record's newest version is old; an earlier one lies in a window that is kept."""
    moved = call("moved", f"{FIRST_KEPT.first_day}T10:00:00Z")
    fold(
        folder,
        response([moved, call("stays", f"{FIRST_KEPT.first_day}T11:00:00Z")], 2, window=FIRST_KEPT),
        window=FIRST_KEPT,
    )
    fold(folder, response([call("moved", f"{OLD.first_day}T10:00:00Z")], 3, window=OLD), window=OLD)
    publish(folder)
    before = set(folder.raw_files("usage", "default", FIRST_KEPT))
    deletion = delete_old(folder)
    removed = before - set(folder.raw_files("usage", "default", FIRST_KEPT))
    listed = {f"raw/{e['dataset']}/account=default/window_start={e['window']}/{e['name']}" for e in deletion.rewritten}
    assert removed
    assert removed <= listed
    assert all(len(entry["sha256"]) == 64 for entry in deletion.rewritten)
