"""Files in deploy/: systemd units and log rotation."""

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
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # keys are case-sensitive
    unit.read_string(path.read_text())
    return unit


def test_there_is_a_unit_for_each_process() -> None:
    assert [unit.stem for unit in UNITS] == ["iplum-daemon", "iplum-receiver", "iplum-webserver"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_each_unit_starts_an_existing_program(path: Path) -> None:
    command = read_unit(path)["Service"]["ExecStart"].split()[0]
    assert command.startswith("/opt/iplum/.venv/bin/")
    assert (BIN / Path(command).name).is_file()


def test_the_units_restart_and_run_as_an_unprivileged_user() -> None:
    service = read_unit(SYSTEMD / "iplum-.service.d" / "common.conf")["Service"]
    expected = {"User": "iplum", "Restart": "always", "ProtectSystem": "strict", "NoNewPrivileges": "true"}
    assert expected.items() <= dict(service).items()
    assert service["EnvironmentFile"] == "/opt/iplum/.env"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_the_units_pass_systemd_analyze(tmp_path: Path) -> None:
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
    errors = [line for line in done.stderr.splitlines() if "iplum" in line]
    assert (done.returncode, errors) == (0, []), done.stderr


@pytest.mark.skipif(not shutil.which("logrotate"), reason="logrotate is not installed")
def test_logrotate_accepts_the_configuration(tmp_path: Path) -> None:
    configuration = tmp_path / "iplum"
    # The installation steps create the user; it does not exist in tests.
    lines = (ROOT / "deploy" / "logrotate" / "iplum").read_text().splitlines()
    configuration.write_text("\n".join(line.replace(" iplum iplum", "") for line in lines if "su iplum" not in line))
    done = subprocess.run(["logrotate", "--debug", configuration], capture_output=True, text=True, check=False)
    assert (done.returncode, "error" in done.stderr) == (0, False), done.stderr
