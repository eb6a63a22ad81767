"""Every command with two accounts whose variables have names of their own, and no IPLUM_ key is set."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest
import requests
import typer

from iplum_resource.standin.options import Options
from iplum_resource.standin.server import Running, running
from pipelines import cli
from pipelines.doctor import run_diagnosis
from pipelines.doctor.diagnosis import State
from tests.support.account import now
from tests.support.postgres import libpq_url
from warehouse.windows import window_of

#: Commands with their arguments, in an order in which each finds what it needs, and their exit codes.
COMMANDS: dict[str, list[tuple[list[str], int]]] = {
    "standin": [(["--help"], 0)],
    "init": [([], 2)],
    "doctor": [([], 0), (["--json"], 0)],
    "sync": [([], 0), (["--account", "west"], 0), (["--account", "north"], 2)],
    "archive": [([], 0), (["--account", "east"], 0)],
    "publish": [(["--full"], 0)],
    "verify": [(["--account", "west"], 0), (["--offline"], 0)],
    "sql": [(["SELECT account, count(*) FROM usage GROUP BY 1"], 0)],
    "report": [([], 0)],
    "seal": [([], 0), (["--new-key"], 0)],
    "fetch": [([], 0)],
    "export": [(["there", "--since", "2024-01-01", "--until", "2099-01-01"], 0)],
    "people": [(["template"], 0), (["unknown"], 0), (["check"], 2)],
    "hold": [(["add", "--account", "west"], 0), (["list"], 0), (["remove", "1"], 0)],
    "retention": [(["--older-than", "30", "--dry-run"], 0), (["--list"], 0)],
}


@pytest.fixture
def two_accounts(standin: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Create accounts.toml and `.env` in a project folder, and use it as the folder of the commands."""
    day = window_of(now() - timedelta(days=4)).first_day
    with running(Options(access_key="WESTKEY", secret_key="west-secret", seed=2, rows_per_day=5)) as other:
        standin.options = Options(rows_per_day=5)
        (tmp_path / "accounts.toml").write_text(
            "\n".join(
                f"[{name}]\naccess_key = '{name.upper()}_KEY'\nsecret_key = '{name.upper()}_SECRET'\n"
                f"login_id = '{name.upper()}_LOGIN'\ncallback_token = '{name.upper()}_TOKEN'\n"
                f"start_date = {day}\nbase_url = '{server.url}'\nmedia_hosts = ['{server.media_host}']\n"
                for name, server in (("east", standin), ("west", other))
            )
        )
        variables = {
            "EAST_KEY": "STANDINACCESSKEY",
            "EAST_SECRET": "standin-secret",
            "EAST_LOGIN": "admin@clinic.example",
            "EAST_TOKEN": "a-token-of-the-east",
            "WEST_KEY": "WESTKEY",
            "WEST_SECRET": "west-secret",
            "WEST_LOGIN": "admin@clinic.example",
            "WEST_TOKEN": "a-token-of-the-west",
            "IPLUM_DATA": "warehouse",
            "IPLUM_REQUESTS_PER_SECOND": "1000",
        }
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        (tmp_path / ".env").chmod(0o600)
        for name in [*os.environ]:
            if name.startswith(("IPLUM_", "EAST_", "WEST_")):
                monkeypatch.delenv(name)
        # The commands adopt the variables of `.env`; monkeypatch removes them again after the test.
        for name in variables:
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)
        monkeypatch.chdir(tmp_path)
        yield variables


def test_every_command_works(two_accounts: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    names = set(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]
    assert names == {*COMMANDS, "receiver", "ui", "demo"}, "each of these three has a test of its own"
    for name, calls in COMMANDS.items():
        for arguments, code in calls:
            assert cli.run([name, *arguments]) == code, f"iplum {name} {arguments}: {capsys.readouterr()}"
    shown = capsys.readouterr()
    assert two_accounts["WEST_SECRET"] not in shown.out + shown.err
    assert cli.run(["sql", "SELECT account FROM usage GROUP BY 1 ORDER BY 1", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"account": "east"}, {"account": "west"}]


def test_the_receiver_serves_both(two_accounts: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipelines.cli", "receiver", "--port", "0"]
    repository = Path(cli.__file__).parent.parent
    environ = {**os.environ, "IPLUM_HOME": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=repository, env=environ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        assert re.match("http://127", url)
        for name in ("EAST_TOKEN", "WEST_TOKEN"):
            path = f"{url}/callbacks/{two_accounts[name]}/usage"
            body = {"recordId": name, "startTimeUTC": f"{now():%Y-%m-%dT%H:%M:%SZ}"}
            assert requests.post(path, json=body, timeout=30).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


@pytest.mark.parametrize("missing", ["WEST_KEY", "WEST_SECRET", "WEST_LOGIN"])
def test_a_missing_variable_is_named(
    two_accounts: dict[str, str], missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert missing in two_accounts
    monkeypatch.setenv(missing, "")
    for command in ("sync", "archive", "verify", "doctor"):
        assert cli.run([command]) == 2
        shown = capsys.readouterr()
        assert f"{missing} is not set" in shown.out + shown.err


def test_the_doctor_shares_the_rate_limit_of_each_key(
    two_accounts: dict[str, str], tmp_path: Path, postgres_url: str
) -> None:
    """It used the row of IPLUM_ACCESS_KEY, so that its requests came on top of those of a sync."""
    url = libpq_url(postgres_url)
    environ = {**two_accounts, "IPLUM_LIMITER_URL": url}
    before = _read_rows(url)
    lines = list(run_diagnosis(environ, tmp_path, clock=now))
    assert [line.found for line in lines if line.state in {State.WRONG, State.FAILED}] == []
    keys = {hashlib.sha256(environ[name].encode()).hexdigest() for name in ("EAST_KEY", "WEST_KEY")}
    changed = {name.removesuffix("/penalty") for name, due in _read_rows(url).items() if before.get(name) != due}
    assert changed == keys


def _read_rows(url: str) -> dict[str, int]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('iplum_next_request')")
        if cursor.fetchone() == (None,):
            return {}
        cursor.execute("SELECT name, due FROM iplum_next_request")
        return dict(cursor.fetchall())
