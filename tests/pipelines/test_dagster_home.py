"""The Dagster home folder and the environment of the Dagster UI."""

import itertools
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from pipelines import cli
from pipelines.dagster_home import open_instance, prepare_dagster_home, prepare_ui
from pipelines.settings import PROJECT, Settings, load_settings
from warehouse.errors import FolderRefused


def test_the_ui_has_the_variables_of_the_env_file(tmp_path: Path) -> None:
    """Runs read the keys from environment variables."""
    (tmp_path / ".env").write_text("IPLUM_SECRET_KEY=file\nEAST_KEY=east\nIPLUM_DATA=warehouse\n")
    home, variables = prepare_ui({"IPLUM_SECRET_KEY": "process", "PYTHONWARNINGS": "error"}, tmp_path)
    assert home == tmp_path / "warehouse" / "dagster"
    assert (variables["IPLUM_SECRET_KEY"], variables["EAST_KEY"]) == ("process", "east")
    assert variables["DAGSTER_HOME"] == str(home)
    assert variables["PYTHONWARNINGS"].startswith("error,ignore:")


def test_the_command_of_the_systemd_units_prepares_the_folder_and_exits(tmp_path: Path) -> None:
    """`ExecStartPre` waits until the command exits."""
    command = [sys.executable, "-m", "pipelines.dagster_home"]
    environ = {**os.environ, "IPLUM_DATA": str(tmp_path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{tmp_path / 'dagster'}\n"
    assert (tmp_path / "dagster" / "dagster.yaml").is_file()


@pytest.mark.parametrize("is_checkout", [True, False], ids=["dagster dev in the checkout", "make ui"])
def test_the_environment_wins_over_the_env_file_in_dagsters_working_folder(
    is_checkout: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster reads `.env` in the processes that load the definitions and execute runs."""
    home = tmp_path
    if is_checkout:
        (tmp_path / "dagster.yaml").write_bytes((PROJECT / "dagster.yaml").read_bytes())
    else:
        home = prepare_dagster_home(load_settings({"IPLUM_DATA": str(tmp_path / "data")}, tmp_path))
    (home / ".env").write_text("IPLUM_SECRET_KEY=file\nIPLUM_LANG=fr\n")
    monkeypatch.chdir(home)
    monkeypatch.setenv("IPLUM_SECRET_KEY", "process")
    monkeypatch.setenv("IPLUM_LANG", "")
    monkeypatch.delenv("IPLUM_LANG")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.inject_env_vars("pipelines.definitions")
    assert os.environ["IPLUM_SECRET_KEY"] == "process"
    assert os.environ["IPLUM_LANG"] == "fr", "variables that only the file has are set"


def test_a_configuration_of_an_earlier_version_is_replaced_and_a_changed_one_kept(tmp_path: Path) -> None:
    settings = load_settings({"IPLUM_DATA": str(tmp_path)}, tmp_path)
    file = prepare_dagster_home(settings) / "dagster.yaml"
    current = file.read_text()
    earlier = current.partition("# The environment wins")[0]
    file.write_text(earlier)
    prepare_dagster_home(settings)
    assert file.read_text() == current
    file.write_text(earlier + "# mine\n")
    prepare_dagster_home(settings)
    assert file.read_text() == earlier + "# mine\n"


@pytest.fixture
def used_home(tmp_path: Path) -> tuple[Settings, Path]:
    settings = load_settings({"IPLUM_DATA": str(tmp_path / "data")}, tmp_path)
    with open_instance(settings):
        pass
    return settings, tmp_path / "data" / "dagster"


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "garbage": lambda path: path.write_bytes(b"\xff\0{" * 3000),
    "a folder": replace_by_folder,
}


DATABASES = ["history/runs.db", "history/runs/index.db", "schedules/schedules.db"]


@pytest.mark.parametrize(
    ("name", "damage"),
    [*itertools.product(DATABASES, DAMAGES), ("dagster.yaml", "garbage"), ("dagster.yaml", "a folder")],
)
def test_a_damaged_history_is_named_with_the_fix(used_home: tuple[Settings, Path], name: str, damage: str) -> None:
    settings, home = used_home
    DAMAGES[damage](home / name)
    with pytest.raises(FolderRefused) as caught, open_instance(settings):
        pass
    assert caught.value.failed.endswith((str(home), name))
    home.rename(home.with_name("dagster.damaged"))
    with open_instance(settings) as instance:
        assert instance.get_runs() == []


@pytest.mark.parametrize("name", DATABASES)
def test_a_history_of_a_newer_dagster_can_be_used(used_home: tuple[Settings, Path], name: str) -> None:
    settings, home = used_home
    with closing(sqlite3.connect(home / name)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'newer'")
    with open_instance(settings) as instance:
        assert instance.get_runs() == []


def test_a_command_exits_with_2_for_a_damaged_history(
    used_home: tuple[Settings, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, home = used_home
    (home / "history" / "runs.db").write_bytes(b"nothing" * 1000)
    monkeypatch.setenv("IPLUM_DATA", str(settings.data))
    for name in ("ACCESS_KEY", "SECRET_KEY", "LOGIN_ID"):
        monkeypatch.setenv(f"IPLUM_{name}", "none")
    monkeypatch.setenv("IPLUM_BASE_URL", "http://127.0.0.1:1")
    assert cli.run(["sync"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert line.startswith(f"error: cannot open Dagster's history in {home}: file is not a database. Move it away (mv ")
