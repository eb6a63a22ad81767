"""Folders, locks and state files that are symlinks or belong to another user are refused before they are used."""

import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from iplum_resource.errors import RateLimitFileRefused
from iplum_resource.limits.rate_limit_state import FileStateStore
from iplum_resource.limits.rate_limiter import RateLimiter
from pipelines.dagster_home import prepare_dagster_home
from pipelines.settings import load_settings
from tests.support.raw_responses import call, create_folder, fold, response
from warehouse.errors import StorageFailed
from warehouse.raw.inbox import Inbox
from warehouse.retention.legal_holds import add_hold
from warehouse.snapshot.publish import publish
from warehouse.storage.atomic_files import Modes
from warehouse.storage.paths import DataFolder

KEYS = "ssh-ed25519 AAAA the user's own key"
STRANGER = 12345

is_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to another user")


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = create_folder(tmp_path)
    folder.locks.mkdir(parents=True)
    fold(folder, response([call()], 1))
    return folder


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "authorized_keys"
    path.write_text(KEYS)
    return path


def _add_hold(folder: DataFolder) -> None:
    add_hold(folder, account=None, user="ann", counterparty=None, note=None, since=date(2023, 4, 1))


@pytest.mark.parametrize("use", [publish, _add_hold, DataFolder.create_locks_folder, DataFolder.check])
@pytest.mark.parametrize("name", ["requests-default", "requests-default.lock", "publish.lock", "holds.lock"])
def test_a_planted_link_among_the_locks_is_refused(
    folder: DataFolder, victim: Path, use: Callable[[DataFolder], object], name: str
) -> None:
    (folder.locks / name).symlink_to(victim)
    with pytest.raises(StorageFailed, match=f"{name}: it is a symbolic link"):
        use(folder)
    assert victim.read_text() == KEYS


@pytest.mark.parametrize("name", ["data", "state", "state/locks"])
def test_a_folder_that_is_a_link_is_refused(folder: DataFolder, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageFailed, match=f"{name}: it is a symbolic link. Set IPLUM_DATA or IPLUM_STATE"):
        publish(folder)


@is_root
@pytest.mark.parametrize("name", ["data", "state", "state/locks", "state/locks/requests-default"])
def test_what_belongs_to_another_user_is_refused(folder: DataFolder, tmp_path: Path, name: str) -> None:
    (folder.locks / "requests-default").touch()
    os.chown(tmp_path / name, STRANGER, -1)
    with pytest.raises(StorageFailed, match=rf"{name}: it belongs to another user \(uid {STRANGER}\).*sudo chown -R"):
        publish(folder)


def test_the_rate_limit_is_not_written_through_a_link(tmp_path: Path, victim: Path) -> None:
    path = tmp_path / "requests-default"
    for planted in (path, tmp_path / "requests-default.lock"):
        planted.unlink(missing_ok=True)
        planted.symlink_to(victim)
        with pytest.raises(RateLimitFileRefused, match="is a symbolic link"):
            FileStateStore(str(path))
        planted.unlink()
    store = FileStateStore(str(path))
    RateLimiter(10, store=store).acquire()
    path.unlink()
    path.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        RateLimiter(10, store=store).acquire()
    assert victim.read_text() == KEYS


@is_root
def test_the_rate_limit_is_not_written_to_a_file_of_another_user(tmp_path: Path) -> None:
    path = tmp_path / "requests-default"
    path.write_text(KEYS)
    os.chown(path, STRANGER, -1)
    with pytest.raises(RateLimitFileRefused, match="belongs to another user"):
        FileStateStore(str(path))
    assert path.read_text() == KEYS


@pytest.mark.parametrize("name", ["inbox.sqlite", "inbox.sqlite-wal", "inbox.sqlite-shm"])
def test_an_inbox_that_is_a_link_is_refused(folder: DataFolder, victim: Path, name: str) -> None:
    folder.inbox.with_name(name).symlink_to(victim)
    with pytest.raises(StorageFailed, match=f"{name}: it is a symbolic link"):
        Inbox(f"sqlite:///{folder.inbox}", "default", Modes())
    assert victim.read_text() == KEYS


@pytest.mark.parametrize("name", ["", "dagster"])
def test_a_dagster_folder_that_is_a_link_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "data" / name
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageFailed, match="it is a symbolic link"):
        prepare_dagster_home(load_settings({"IPLUM_DATA": str(tmp_path / "data")}, tmp_path))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_own_folders_are_used(folder: DataFolder) -> None:
    assert publish(folder).rows["usage"] == 1
    folder.require_own()
