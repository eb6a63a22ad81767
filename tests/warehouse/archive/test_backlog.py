"""Files that were verified and are missing or damaged: told, marked, and never replaced by others."""

from pathlib import Path

import pytest

from tests.support.raw_responses import WINDOW, answer, at, call, create_folder, fold
from warehouse.archive.backlog import LostFiles, find_backlog, find_lost_files, mark_lost
from warehouse.archive.download_log import DownloadAttempt, DownloadLog, fold_download_log
from warehouse.archive.media_store import MediaStore, StoredFile
from warehouse.checks.verification import Verification
from warehouse.errors import FileRefused
from warehouse.schema.tables import CONTENTS
from warehouse.snapshot.publish import publish
from warehouse.storage.paths import DataFolder

SOUND = b"ID3 a sound"


def keep(folder: DataFolder, content: bytes, sha256: str | None = None) -> StoredFile:
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
    """Two texts with the same picture."""
    folder = create_folder(tmp_path)
    fold(folder, answer([call(name, usage="text") for name in ("t1", "t2")], 1))
    log(folder, 1, keep(folder, SOUND), "t1", "t2")
    publish(folder)
    return folder


def verify(folder: DataFolder, hours: float) -> list[str]:
    """Verify as the command does: what is lost is marked."""
    losses: list[LostFiles] = []
    differences = [str(one) for one in Verification(folder=folder, on_loss=losses.append).find_mismatches()]
    mark_lost(folder, losses, at=at(hours))
    publish(folder)
    return differences


def path(folder: DataFolder) -> Path:
    return folder.root / find_lost_or_kept(folder).path


def find_lost_or_kept(folder: DataFolder) -> StoredFile:
    lost = find_lost_files(folder, CONTENTS, "default", WINDOW)
    return next(iter(lost.values())) if lost else keep(folder, SOUND)


def wanted(folder: DataFolder, hours: float) -> list[str]:
    return sorted(find_backlog(folder, CONTENTS, "default", WINDOW, now=at(hours)))


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_a_lost_file_is_reported_and_due_at_once_until_it_is_back(folder: DataFolder, harm: str) -> None:
    stored = find_lost_or_kept(folder)
    if harm == "missing":
        path(folder).unlink()
    else:
        path(folder).write_bytes(SOUND[:5])
    for hours in (2, 3):
        (told,) = verify(folder, hours)
        assert f"{stored.path} is {harm}" in told
        assert "iplum archive" in told
    assert wanted(folder, 2) == ["t1", "t2"]
    assert find_lost_files(folder, CONTENTS, "default", WINDOW) == {"t1": stored, "t2": stored}

    keep(folder, SOUND, stored.sha256)
    (told,) = verify(folder, 4)
    assert "exists again, but its row is marked as lost" in told
    log(folder, 5, stored, "t1", "t2")
    publish(folder)
    assert verify(folder, 6) == []
    assert wanted(folder, 1000) == []


def test_what_iplum_no_longer_has_is_gone_after_a_day(folder: DataFolder) -> None:
    path(folder).unlink()
    verify(folder, 100)
    log(folder, 101, None, "t1", error="not there")
    assert wanted(folder, 101) == ["t1", "t2"]
    log(folder, 125, None, "t1", error="not there")
    assert wanted(folder, 1000) == ["t2"]


def test_another_file_does_not_take_the_place_of_a_lost_one(folder: DataFolder) -> None:
    stored = find_lost_or_kept(folder)
    path(folder).unlink()
    with pytest.raises(FileRefused, match="a different file"):
        keep(folder, b"ID3 another sound", stored.sha256)
    assert list(MediaStore(folder).list_files()) == []
