"""The folder of `.env` and `data/`: the rule that chooses it, and its errors."""

import os
from pathlib import Path

import pytest

from iplum_resource.standin.server import Running
from pipelines import cli
from pipelines.settings import HOME, PROJECT, SettingsError, find_home, read_environment
from tests.support.account import Account


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    return tmp_path


def test_the_checkout_is_the_home_in_a_folder_without_files(folder: Path) -> None:
    assert folder == Path.cwd()
    assert find_home({}).path == PROJECT
    assert find_home({}).reason == "the checkout"


@pytest.mark.parametrize("name", [".env", "data"])
def test_the_current_folder_is_the_home_if_it_holds_the_file(folder: Path, name: str) -> None:
    if name == "data":
        (folder / name).mkdir()
    else:
        (folder / name).touch()
    assert find_home({}).path == folder
    assert find_home({}).reason == f"the current folder, which holds {name}"


def test_a_virtual_environment_named_env_and_a_file_named_data_do_not_count(folder: Path) -> None:
    (folder / ".env").mkdir()
    (folder / "data").touch()
    assert find_home({}).path == PROJECT


def test_the_variable_comes_first(folder: Path) -> None:
    (folder / ".env").touch()
    assert find_home({HOME: str(folder / "new")}).path == folder / "new"
    assert find_home({HOME: "new"}).path == folder / "new"
    assert find_home({HOME: "~/new"}).path == folder / "user" / "new"
    assert find_home({HOME: ""}).path == folder
    assert find_home({HOME: "new"}).reason == "set by IPLUM_HOME"


def test_without_a_checkout_it_is_the_folder_for_user_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.settings.home.IS_CHECKOUT", False)
    assert find_home({}).path == folder / "user" / ".local" / "share" / "iplum"


def test_a_user_without_a_home_folder_is_told_to_set_the_variable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container with an arbitrary user ID, pipelines/__init__.py sets HOME to this folder."""
    monkeypatch.setattr("pipelines.settings.home.IS_CHECKOUT", False)
    monkeypatch.setenv("HOME", "/nonexistent")
    with pytest.raises(SettingsError, match=f"Set {HOME} to a folder"):
        find_home({})
    assert find_home({HOME: str(folder)}).path == folder


@pytest.mark.parametrize("text", ["'/srv/iplum'", "/srv/iplum ", "/srv/%d", "~nobody-of-this-name/iplum"])
def test_an_unusable_folder_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=f"{HOME} must be a folder"):
        find_home({HOME: text})
    assert list(folder.iterdir()) == []


def test_a_file_is_refused(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(SettingsError, match="is a file"):
        find_home({HOME: "file"})


def test_a_deleted_current_folder_does_not_stop_a_command(folder: Path) -> None:
    gone = folder / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    assert find_home({}).path == PROJECT


def test_the_variable_is_refused_in_the_env_file(folder: Path) -> None:
    (folder / ".env").write_text(f"{HOME}=/srv/iplum\n")
    with pytest.raises(SettingsError, match="Set it in the environment instead"):
        read_environment({}, folder)


def test_two_installations_share_a_data_folder_of_one_account_only(
    standin: Running, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their locks are in the data folder, so they take turns; another account's name is refused."""
    account = Account(standin, folder)
    account.set_options(rows_per_day=2)
    for name, value in account.environ.items():
        monkeypatch.setenv(name, value)
    assert account.pull().failures == []
    standin.requests.clear()
    (folder / "other").mkdir()
    monkeypatch.setenv(HOME, str(folder / "other"))
    monkeypatch.setenv("IPLUM_ACCOUNT", "west")
    assert cli.run(["sync"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "belongs to 'default'" in error
    assert standin.requests == []
