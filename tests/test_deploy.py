"""Files in deploy/: valid systemd units, existing programs and a working log rotation."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SYSTEMD = ROOT / "deploy" / "systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))
BIN = Path(sys.executable).parent


def read_unit(path: Path) -> configparser.RawConfigParser:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # keys are told apart by case
    unit.read_string(path.read_text())
    return unit


def test_there_is_a_unit_for_each_process() -> None:
    assert [unit.stem for unit in UNITS] == ["iplum-daemon", "iplum-receiver", "iplum-webserver"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_each_unit_starts_a_program_that_is_there(path: Path) -> None:
    command = read_unit(path)["Service"]["ExecStart"].split()[0]
    assert command.startswith("/opt/iplum/.venv/bin/")
    assert (BIN / Path(command).name).is_file()


def test_the_units_are_kept_running_by_a_user_who_may_write_nothing_else() -> None:
    service = read_unit(SYSTEMD / "iplum-.service.d" / "common.conf")["Service"]
    expected = {"User": "iplum", "Restart": "always", "ProtectSystem": "strict", "NoNewPrivileges": "true"}
    assert expected.items() <= dict(service).items()
    assert service["EnvironmentFile"] == "/opt/iplum/.env"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="this machine has no systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    shutil.copytree(SYSTEMD, tmp_path / "units")
    for path in (tmp_path / "units").rglob("iplum*"):
        if path.is_file():
            path.write_text(path.read_text().replace("/opt/iplum/.venv/bin", str(BIN)))
    common = tmp_path / "units" / "iplum-.service.d" / "common.conf"
    common.write_text(common.read_text().replace("/opt/iplum", str(ROOT)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted((tmp_path / "units").glob("*.service"))],
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path / 'units'}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    about_ours = [line for line in done.stderr.splitlines() if "iplum" in line]
    assert (done.returncode, about_ours) == (0, []), done.stderr


@pytest.mark.skipif(not shutil.which("logrotate"), reason="this machine has no logrotate")
def test_logrotate_takes_the_rotation(tmp_path: Path) -> None:
    rotation = tmp_path / "iplum"
    # The user is made by the steps of the page; here there is none.
    lines = (ROOT / "deploy" / "logrotate" / "iplum").read_text().splitlines()
    rotation.write_text("\n".join(line.replace(" iplum iplum", "") for line in lines if "su iplum" not in line))
    done = subprocess.run(["logrotate", "--debug", rotation], capture_output=True, text=True, check=False)
    assert (done.returncode, "error" in done.stderr) == (0, False), done.stderr
