"""The wheel, installed without a checkout. `.ci/wheel_walk.py` runs all commands; CI runs that script."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from pipelines.settings import PROJECT


@pytest.fixture(scope="module")
def walk_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wheel_walk", PROJECT / ".ci" / "wheel_walk.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_installed_wheel_finds_its_files_and_its_home(walk_module: ModuleType, tmp_path: Path) -> None:
    walk = walk_module.Walk(tmp_path)
    walk.install(tmp_path / "dist")
    shown = walk.run("doctor", codes=(2,))
    assert shown.startswith(f"OK    home                 {walk.home} (the folder for user data)\n")
    assert f"{walk.home}/data does not exist yet" in shown
    (walk.empty / ".env").write_text("IPLUM_LOGIN_ID='half\n")
    refused = walk.run("sql", "SELECT 1", codes=(2,))
    assert refused.startswith(f"error: cannot read line 1 of {walk.empty}/.env: it is not NAME=value")
    assert refused.count("\n") == 1
    shared = walk.environment / "share" / "iplum-warehouse"
    assert (shared / "docs" / "operations.md").is_file()
    assert (shared / "deploy" / "systemd" / "iplum-daemon.service").is_file()
