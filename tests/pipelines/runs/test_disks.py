"""Full and read-only filesystems: one-line errors, and no lost data."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import cli
from tests.support.account import Account
from tests.support.raw_responses import call, fold, response
from warehouse.errors import StorageFailed
from warehouse.snapshot.publish import publish


class Disk:
    """A small in-memory filesystem, mounted for one test."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mount(self, options: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.path], check=True, capture_output=True)

    def change(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.path], check=True, capture_output=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", self.path], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk")
    disk.path.mkdir()
    try:
        disk.mount("size=64m,mode=700")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a filesystem requires root")
    yield disk
    disk.unmount()


@pytest.mark.parametrize("size", ["100k", "3m"])
def test_a_full_disk_is_named_and_a_sync_after_freeing_space_has_all_rows(
    account: Account, disk: Disk, size: str
) -> None:
    account.changes.update(IPLUM_DATA=str(disk.path), IPLUM_STATE=str(account.path / "state"))
    disk.change(f"size={size}")
    failures = account.sync().failures
    assert failures
    assert all("the disk is full" in failure for failure in failures), failures
    assert len(failures) <= 2
    disk.change("size=64m")
    assert account.sync().failures == []
    assert account.ids() == account.expected_ids()
    assert account.ids("recordings") == account.expected_ids("recordings")


def test_a_read_only_disk_is_named_and_can_be_queried_and_verified(
    account: Account, disk: Disk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account.changes.update(IPLUM_DATA=str(disk.path), IPLUM_STATE=str(account.path / "state"))
    for name, value in account.changes.items():
        monkeypatch.setenv(name, value)
    fold(account.folder, response([call()], 1))
    publish(account.folder)
    disk.change("ro")
    before = {path: path.stat().st_mtime_ns for path in disk.path.rglob("*")}
    for command in (["sync"], ["publish", "--full"], ["report"]):
        capsys.readouterr()
        assert cli.run(command) == 1, command
        shown = capsys.readouterr().err
        assert shown.count("error: ") == shown.count("the filesystem is read-only") == 1, shown
        assert "Traceback" not in shown
    assert cli.run(["sql", "SELECT count(*) AS n FROM usage", "--format", "csv"]) == 0
    assert capsys.readouterr().out == "n\n1\n"
    assert cli.run(["verify", "--offline"]) == 0
    assert {path: path.stat().st_mtime_ns for path in disk.path.rglob("*")} == before


def test_a_full_disk_of_dagsters_history_is_named(account: Account, disk: Disk) -> None:
    account.changes.update(IPLUM_STATE=str(disk.path))
    disk.change("size=200k")
    with pytest.raises(StorageFailed, match=r"Dagster's history .* Free some space"):
        account.sync(in_memory=False)
