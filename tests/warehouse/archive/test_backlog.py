"""Verified files that are missing or damaged: reported, marked as lost, and never replaced by different ones."""

from pathlib import Path

import pytest

from tests.support.raw_responses import WINDOW, at, call, create_folder, fold, response
from warehouse.archive.backlog import LostFiles, find_backlog, find_lost_files, mark_lost
from warehouse.archive.download_log import DownloadAttempt, DownloadLog, fold_download_log
from warehouse.archive.media_store import MediaStore, StoredFile
from warehouse.checks.verification import Verification
from warehouse.errors import FileRefused
from warehouse.schema.tables import CONTENTS
from warehouse.snapshot.publish import publish
from warehouse.storage.paths import DataFolder

AUDIO = b"ID3 a sound"


def store(folder: DataFolder, content: bytes, sha256: str | None = None) -> StoredFile:
    with MediaStore(folder).open_incoming() as incoming:
        incoming.sink.write(content)
        return MediaStore(folder).store(incoming, expected="any", sha256=sha256)


def log(folder: DataFolder, hours: float, stored: StoredFile | None, *names: str, error: str | None = None) -> None:
    file = {} if stored is None else {"sha256": stored.sha256, "bytes": stored.bytes, "path": stored.path}
    attempts = [
        DownloadAttempt(
            record_id=name,
            attempted_at=at(hours),
            status="pending" if stored is None else "verified",
            kind=None if stored is None else "media",
            media_type=None if stored is None else stored.media_type,
            error=error,
            **file,  # type: ignore[arg-type]
        )
        for name in names
    ]
    DownloadLog(folder, "default", "contents").append(WINDOW, attempts)
    fold_download_log(folder, CONTENTS, "default", WINDOW)


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """Return a folder with two texts that share one file."""
    folder = create_folder(tmp_path)
    fold(folder, response([call(name, usage="text") for name in ("t1", "t2")], 1))
    log(folder, 1, store(folder, AUDIO), "t1", "t2")
    publish(folder)
    return folder


def verify(folder: DataFolder, hours: float) -> list[str]:
    """Verify as the command does, which marks lost files."""
    losses: list[LostFiles] = []
    mismatches = [str(one) for one in Verification(folder=folder, on_loss=losses.append).find_mismatches()]
    mark_lost(folder, losses, at=at(hours))
    publish(folder)
    return mismatches


def locate_file(folder: DataFolder) -> Path:
    return folder.root / find_file(folder).path


def find_file(folder: DataFolder) -> StoredFile:
    lost = find_lost_files(folder, CONTENTS, "default", WINDOW)
    return next(iter(lost.values())) if lost else store(folder, AUDIO)


def list_backlog(folder: DataFolder, hours: float) -> list[str]:
    return sorted(find_backlog(folder, CONTENTS, "default", WINDOW, now=at(hours)))


@pytest.mark.parametrize("problem", ["missing", "damaged"])
def test_lost_file_is_reported_and_due_until_it_exists_again(folder: DataFolder, problem: str) -> None:
    stored = find_file(folder)
    if problem == "missing":
        locate_file(folder).unlink()
    else:
        locate_file(folder).write_bytes(AUDIO[:5])
    for hours in (2, 3):
        (mismatch,) = verify(folder, hours)
        assert f"{stored.path} is {problem}" in mismatch
        assert "iplum archive" in mismatch
    assert list_backlog(folder, 2) == ["t1", "t2"]
    assert find_lost_files(folder, CONTENTS, "default", WINDOW) == {"t1": stored, "t2": stored}

    store(folder, AUDIO, stored.sha256)
    (mismatch,) = verify(folder, 4)
    assert "exists again, but its row is marked as lost" in mismatch
    log(folder, 5, stored, "t1", "t2")
    publish(folder)
    assert verify(folder, 6) == []
    assert list_backlog(folder, 1000) == []


def test_file_that_iplum_no_longer_has_is_gone_after_a_day(folder: DataFolder) -> None:
    locate_file(folder).unlink()
    verify(folder, 100)
    log(folder, 101, None, "t1", error="not found")
    assert list_backlog(folder, 101) == ["t1", "t2"]
    log(folder, 125, None, "t1", error="not found")
    assert list_backlog(folder, 1000) == ["t2"]


def test_lost_file_is_not_replaced_by_a_different_one(folder: DataFolder) -> None:
    stored = find_file(folder)
    locate_file(folder).unlink()
    with pytest.raises(FileRefused, match="a different file"):
        store(folder, b"ID3 other audio", stored.sha256)
    assert list(MediaStore(folder).list_files()) == []
