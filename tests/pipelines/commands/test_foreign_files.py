"""Every command refuses a data folder with symlinks or files of other users: exit code 2, before any request."""

import grp
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import cli
from pipelines.doctor import run_diagnosis
from pipelines.doctor.diagnosis import State, choose_exit_code
from pipelines.settings import SettingsError, load_settings
from tests.support.account import Account, now
from tests.support.raw_responses import call, fold, response
from warehouse.snapshot.publish import publish

STRANGER = 12345
READERS = grp.getgrall()[-1]
WRITERS = (["sync"], ["archive"], ["publish"], ["verify", "--offline"], ["report"], ["retention", "--list"])
EXPORT = ["export", "--since", "2023-01-01", "--until", "2023-04-01"]

is_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to another user")


@pytest.fixture
def published(account: Account) -> Account:
    folder = account.folder
    fold(folder, response([call()], 1))
    publish(folder)
    folder.store.write(folder.media_file("ab" * 32, "mp3"), b"ID3")
    for name in ("history/runs.db", "dagster.yaml"):
        (folder.root / "dagster" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.root / "dagster" / name).touch()
    return account


def replace_by_link(path: Path, target: Path) -> None:
    if path.exists():
        path.rename(target)
    else:
        target.mkdir()
    path.symlink_to(target)


@pytest.mark.parametrize(
    "name",
    [
        "lake",
        "raw",
        "raw/usage",
        "raw/usage/account=default",
        "raw/usage/account=default/window_start=2023-03-21",
        "media",
        "media/ab",
        "retention",
        "holds.json",
        "warehouse.duckdb",
        "warehouse.duckdb.wal",
        "report.html",
        "inbox.sqlite",
        "locks",
    ],
)
def test_a_link_below_the_data_folder_is_refused_by_every_command_that_writes(
    published: Account, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    replace_by_link(published.folder.root / name, published.path / "elsewhere")
    for arguments in WRITERS:
        assert cli.run(arguments) == 2
        assert re.search(rf"error: cannot use \S*/{name}: it is a symbolic link\. Replace ", capsys.readouterr().err)
    assert published.server.requests == []


@pytest.mark.parametrize("name", ["warehouse.duckdb", "warehouse.duckdb.wal", "holds.json"])
def test_a_link_is_refused_by_the_commands_that_read(
    published: Account, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    replace_by_link(published.folder.root / name, published.path / "elsewhere")
    for arguments in (["sql", "SELECT 1"], [*EXPORT, str(published.path / "x")], ["fetch"], ["hold", "list"]):
        assert cli.run(arguments) == 2
        assert f"{name}: it is a symbolic link" in capsys.readouterr().err
    assert not (published.path / "x").exists()


def test_an_export_does_not_copy_files_through_a_link(published: Account, capsys: pytest.CaptureFixture[str]) -> None:
    replace_by_link(published.folder.root / "media", published.path / "elsewhere")
    assert cli.run([*EXPORT, str(published.path / "x")]) == 2
    assert "media: it is a symbolic link" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["dagster", "dagster/history", "dagster/history/runs.db", "dagster/dagster.yaml"])
def test_a_link_in_the_history_of_dagster_is_refused_before_any_request(
    published: Account, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    replace_by_link(published.folder.root / name, published.path / "elsewhere")
    assert cli.run(["sync"]) == 2
    assert f"{name}: it is a symbolic link" in capsys.readouterr().err
    assert published.server.requests == []


@is_root
@pytest.mark.parametrize("name", ["", "raw/usage", "warehouse.duckdb", "media/ab", "locks", "dagster/history/runs.db"])
def test_what_another_user_wrote_is_named_with_its_owner_and_the_repair(
    published: Account, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = published.folder.root / name
    os.chown(path, STRANGER, -1)
    assert cli.run(["sync"]) == 2
    error = capsys.readouterr().err
    assert f"cannot use {path}: it belongs to another user (uid {STRANGER}). Run as that user, or give" in error
    assert f"sudo chown -R {os.geteuid()} " in error
    assert published.server.requests == []


@is_root
def test_the_doctor_names_it_as_a_wrong_setting_and_asks_nothing(published: Account) -> None:
    os.chown(published.folder.root / "raw" / "usage", STRANGER, -1)
    seen = list(run_diagnosis(published.environ, published.path, clock=now))
    (wrong,) = [one for one in seen if one.state is State.WRONG]
    assert f"raw/usage: it belongs to another user (uid {STRANGER})" in wrong.found
    assert wrong.fix.endswith(f"sudo chown -R {os.geteuid()} {published.folder.root}.")
    assert choose_exit_code(seen) == 2
    assert published.server.requests == []


@is_root
def test_a_member_of_the_group_reads_the_files_of_another_user(
    published: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    query = ["sql", "SELECT count(*) AS rows FROM usage", "--format", "csv"]
    root = published.folder.root
    for path in (root, *root.rglob("*")):
        os.chown(path, STRANGER, READERS.gr_gid)
    assert cli.run(query) == 2
    assert "it belongs to another user" in capsys.readouterr().err
    monkeypatch.setenv("IPLUM_FILE_GROUP", READERS.gr_name)
    assert cli.run(query) == 0
    assert capsys.readouterr().out.split() == ["rows", "1"]
    assert cli.run(["publish"]) == 2
    os.chown(root / "warehouse.duckdb", STRANGER + 1, READERS.gr_gid)
    assert cli.run(query) == 2
    assert f"warehouse.duckdb: it belongs to another user (uid {STRANGER + 1})" in capsys.readouterr().err


def test_a_group_that_the_user_is_not_in_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"IPLUM_FILE_GROUP": READERS.gr_name}
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    monkeypatch.setattr(os, "getgroups", lambda: [READERS.gr_gid])
    assert load_settings(environ, tmp_path).file_group == READERS.gr_gid
    monkeypatch.setattr(os, "getgroups", list)
    with pytest.raises(SettingsError, match=rf"{READERS.gr_name}, but the user who runs this \(uid 12345\) is not in"):
        load_settings(environ, tmp_path)


def test_files_that_iplum_does_not_write_are_of_no_concern(published: Account) -> None:
    """A mounted disk has `lost+found`; users keep links next to the data."""
    (published.folder.root / "backup").symlink_to(published.path)
    assert cli.run(["publish"]) == 0


def test_the_ui_prints_one_line(published: Account) -> None:
    replace_by_link(published.folder.root / "lake", published.path / "elsewhere")
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.dagster_home"],
        env={**os.environ, **published.environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: cannot use \S+/lake: it is a symbolic link\. [^\n]+\n", done.stderr)
