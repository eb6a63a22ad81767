"""The Dagster home folder and the environment of the Dagster UI."""

import os
import subprocess
import sys
from pathlib import Path

from pipelines.dagster_home import prepare_ui


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
