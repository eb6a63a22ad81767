"""The command line: exit codes, one-line errors, output formats, and no request before a usage error is reported."""

import csv
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest
import requests
import typer

from iplum_resource.standin.options import Options
from pipelines import cli
from pipelines.settings import SettingsError
from tests.support.account import Account
from tests.support.raw_responses import call, fold, response
from warehouse.snapshot.publish import publish

IPLUM = [sys.executable, "-m", "pipelines.cli"]


def run(*arguments: str) -> int:
    return cli.run(list(arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        ("sync", "--since", "2001-01-01"),
        ("sync", "--since", "2099-01-01"),
        ("sync", "--since", "yesterday"),
        ("sync", "--until", "2024-1-1"),
        ("sync", "--sinse", "2024-01-01"),
        ("sink",),
        ("sql", "SELECT 1", "--format", "xml"),
        ("sql",),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2_before_any_request(
    account: Account, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "Traceback" not in error
    assert account.server.requests == []


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ("snyc", "No such command 'snyc'. Did you mean 'sync'? See 'iplum --help'"),
        ("nothing-like-it", "No such command 'nothing-like-it'. See 'iplum --help'"),
        ("hold lst", "No such command 'lst'. Did you mean 'list'? See 'iplum hold --help'"),
        ("sync --sinse 2024-01-01", "No such option: --sinse. Did you mean '--since'? See 'iplum sync --help'"),
        ("hold add --usr ann", "No such option: --usr. Did you mean '--user'? See 'iplum hold add --help'"),
        ("--versoin", "No such option: --versoin. Did you mean '--version'? See 'iplum --help'"),
        ("sync --colour", "No such option: --colour. See 'iplum sync --help'"),
        ("sql", "Missing argument 'query'. See 'iplum sql --help'"),
        ("export there", "Missing option '--since'. See 'iplum export --help'"),
    ],
)
def test_a_typo_suggests_the_right_name_and_its_help(
    typed: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*typed.split()) == 2
    assert capsys.readouterr().err == f"error: {error}\n"


def test_an_end_that_is_not_after_the_start_is_rejected(account: Account) -> None:
    assert run("sync", "--since", str(account.first_day), "--until", str(account.first_day)) == 2


def test_missing_credentials_exit_with_2_and_are_named(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IPLUM_SECRET_KEY", "")
    assert run("sync") == 2
    assert "IPLUM_SECRET_KEY is not set" in capsys.readouterr().err
    assert account.server.requests == []


NEED_KEYS = ["sync", "archive", "verify", "doctor"]
ALL = [*NEED_KEYS, "receiver", "publish", "sql 'SELECT 1'", "report", "retention --list"]


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [
        *((command, "IPLUM_SECRET_KEY", "\u201ec4nary\u201c") for command in ALL),
        *((command, "IPLUM_ACCESS_KEY", "\u00abc4nary\u00bb") for command in ALL),
        *((command, "IPLUM_CALLBACK_TOKEN", "\u201ca-long-token-c4nary\u201d") for command in ALL),
        *((command, "IPLUM_CALLBACK_TOKEN", "c4nary") for command in ALL),
        *((command, "IPLUM_BASE_URL", "https://api.iplum.com/#c4nary") for command in ALL),
        *((command, "IPLUM_BASE_URL", "http://127.0.0.1.iplum.com") for command in ALL),
        *((command, "IPLUM_ALERT_WEBHOOK", "http://localhost.iplum.com/c4nary") for command in ALL),
        *((command, "AWS_ENDPOINT_URL", "https://[c4nary") for command in ALL),
    ],
)
def test_a_badly_pasted_setting_exits_with_2_before_any_request(
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv("IPLUM_CALLBACK_TOKEN", "a-token-of-callbacks")
    monkeypatch.setenv(name, value)
    if name == "AWS_ENDPOINT_URL":
        monkeypatch.setenv("IPLUM_DATA", "s3://calls")
    assert run(*shlex.split(command)) == 2
    shown = capsys.readouterr()
    assert name in shown.out + shown.err
    assert "c4nary" not in shown.out + shown.err
    assert account.server.requests == []


def test_a_renamed_account_exits_with_2(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    fold(account.folder, response([call()], 1))
    monkeypatch.setenv("IPLUM_ACCOUNT", "renamed")
    assert run("sync") == 2
    assert account.server.requests == []


def test_a_sync_prints_new_rows_and_failures(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sync", "--since", str(account.created_at.date())) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^usage +1 window +\d+ new", shown, re.MULTILINE)
    assert "published" in shown
    assert f"report {account.folder.report}" in shown

    account.set_options(usage_permission=False)
    assert run("sync", "--since", str(account.created_at.date()), "--json") == 1
    failed = capsys.readouterr()
    (failure,) = json.loads(failed.out)["failures"]
    assert "403" in failure
    assert [line for line in failed.err.splitlines() if line.startswith("error: ")] == [f"error: {failure}"]


def test_debug_raises_the_exception_with_its_traceback(account: Account) -> None:
    with pytest.raises(SettingsError):
        run("sync", "--since", "2001-01-01", "--debug")
    assert account.server.requests == []


@pytest.fixture
def published(account: Account) -> Account:
    fold(account.folder, response([call(**{"from": 'a "quoted", name'}), call("b", iPlumCredits=None)], 1))
    publish(account.folder)
    return account


QUERY = "SELECT record_id, started_at, from_party, credits FROM usage ORDER BY 1"


@pytest.mark.parametrize("form", ["table", "csv", "json"])
@pytest.mark.usefixtures("published")
def test_sql_prints_times_in_the_time_zone_of_the_account_with_their_offset(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("IPLUM_TIMEZONE", "America/New_York")
    assert run("sql", QUERY, "--format", form) == 0
    assert "2023-03-23T20:00:00-04:00" in capsys.readouterr().out


def test_sql_prints_json(published: Account, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sql", QUERY, "--format", "json") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first == {
        "record_id": "a",
        "started_at": "2023-03-24T00:00:00+00:00",
        "from_party": 'a "quoted", name',
        "credits": 2.0,
    }
    assert second["credits"] is None
    assert run("sql", "SELECT 1 WHERE false", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert published.server.requests == []


def test_sql_prints_csv(published: Account, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sql", QUERY, "--format", "csv") == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["record_id", "started_at", "from_party", "credits"]
    assert rows[1][2] == 'a "quoted", name'
    assert rows[2][3] == ""
    assert published.folder.snapshot.exists()


def test_sql_prints_a_table(published: Account, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sql", QUERY) == 0
    shown = capsys.readouterr().out
    assert "(2 rows)" in shown
    assert "null" in shown
    assert published.folder.snapshot.exists()


def test_sql_without_a_warehouse_or_with_a_syntax_error_exits_with_1(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("sql", "SELECT 1") == 1
    assert "iplum sync" in capsys.readouterr().err
    assert run("publish") == 0
    assert run("sql", "SELEC") == 1
    assert "Parser Error" in capsys.readouterr().err
    assert account.server.requests == []


def test_help_does_not_import_dagster_pandas_duckdb_or_pyarrow() -> None:
    slow = "{'dagster', 'pandas', 'duckdb', 'pyarrow'}"
    script = f"import sys; from pipelines import cli; cli.run(['--help']); print(sorted({slow} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_each_setting_of_the_stand_in_has_an_option() -> None:
    command = typer.main.get_command(cli.app).commands["standin"]  # type: ignore[attr-defined]
    options = {parameter.name for parameter in command.params}
    without_option = {"clock", "now", "max_epoch_age"}
    assert {field.name for field in fields(Options)} - without_option == options - {"host", "port", "help", "people"}


def test_the_stand_in_prints_its_url_and_exits_on_sigterm() -> None:
    command = [*IPLUM, "standin", "--port", "0", "--row-cap", "10", "--no-recording-plan"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        assert requests.get(f"{url}/usage/getusage", timeout=10).status_code == 405, "the API accepts POST only"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_publish_verify_and_archive_print_json(published: Account, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("publish", "--full", "--json") == 0
    assert json.loads(capsys.readouterr().out)["tables"]["usage"] == {"rows": 2, "replaced": 1}
    assert run("verify", "--offline", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"files": 0, "bytes": 0, "differences": [], "notes": []}
    published.folder.snapshot.unlink()
    assert run("verify", "--offline", "--json") == 1
    shown = capsys.readouterr()
    (difference,) = json.loads(shown.out)["differences"]
    assert "warehouse.duckdb" in difference
    assert f"error: {difference}" in shown.err
    assert run("archive", "--json", "--since", str(published.first_day)) == 0
    assert json.loads(capsys.readouterr().out) == {"holdings": [], "reasons": [], "failures": []}


@pytest.mark.parametrize("name", sorted(typer.main.get_command(cli.app).commands))  # type: ignore[attr-defined]
def test_each_command_shows_an_example_and_rejects_an_unknown_option(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(name, "--help") == 0
    help_text = " ".join(capsys.readouterr().out.split())
    assert f"iplum {name}" in help_text.partition("Example")[2]
    assert run(name, "--no-such-option") == 2
    assert f"See 'iplum {name} --help'" in capsys.readouterr().err


def test_an_unknown_global_option_refers_to_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--no-such-option") == 2
    assert "See 'iplum --help'" in capsys.readouterr().err
    assert run("--version") == 0
    assert re.fullmatch(r"iplum-warehouse [0-9.]+\n", capsys.readouterr().out)


def test_bash_completes_a_command(tmp_path: Path) -> None:
    iplum = str(Path(sys.executable).with_name("iplum"))
    shell = {**os.environ, "HOME": str(tmp_path), "SHELL": "/bin/bash"}
    # The shell is detected by the parent process, which must not be the one that runs the tests.
    command = ["bash", "-c", '"$0" --install-completion; exit $?', iplum]
    installed = subprocess.run(command, env=shell, check=False, capture_output=True, text=True)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    (script,) = (tmp_path / ".bash_completions").iterdir()
    assert "_IPLUM_COMPLETE=complete_bash" in script.read_text()
    completion = {**shell, "_IPLUM_COMPLETE": "complete_bash", "COMP_WORDS": "iplum sy", "COMP_CWORD": "1"}
    done = subprocess.run([iplum], env=completion, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["sync"]


def test_an_interrupted_sync_stops_before_publishing_and_the_next_one_completes_it(account: Account) -> None:
    """Dagster reports Ctrl-C as a failed step. The sync must not publish after it or report it as an error."""
    account.set_options(latency=0.4)
    environ = {**os.environ, **account.environ, "IPLUM_CONCURRENCY": "1"}
    with subprocess.Popen([*IPLUM, "sync"], env=environ, stderr=subprocess.PIPE, text=True) as process:
        wait_for(
            lambda: (
                account.count_requests("/callrecordings/getrecordings") + account.count_requests("/usage/getusage") >= 3
            )
        )
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert error.splitlines()[-1] == "Stopped. Finished work is kept; the same command continues from there."
    assert "error" not in error
    assert not account.folder.snapshot.exists(), "the sync must stop before it publishes"
    account.set_options()
    assert account.sync().failures == []
    assert account.ids() == account.expected_ids()


@pytest.mark.parametrize("processes", [2, 4])
def test_concurrent_syncs_of_the_same_windows_produce_each_row_once(account: Account, processes: int) -> None:
    environ = {**os.environ, **account.environ}
    command = [*IPLUM, "sync", "--since", str(account.first_day)]
    syncs = [subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL) for _ in range(processes)]
    for process in syncs:
        assert process.wait(timeout=280) == 0
    assert account.ids() == account.expected_ids()
    assert account.ids("recordings") == account.expected_ids("recordings")
    grouped = "FROM pulls WHERE reason <> 'stray' GROUP BY dataset, window_start"
    assert account.query(f"SELECT DISTINCT count(DISTINCT pull_id) {grouped}") == [(processes,)]


def test_a_data_folder_that_is_a_file_exits_with_1_and_a_clear_error(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("IPLUM_DATA", str(tmp_path / "file"))
    assert run("sync") == 1
    assert "a file is in the place of a folder" in capsys.readouterr().err
    assert account.server.requests == []


def wait_for(condition: object, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    assert callable(condition)
    while not condition():
        assert time.monotonic() < deadline, f"the condition was not met within {seconds:g} s"
        time.sleep(0.02)


@pytest.mark.parametrize("arguments", [[], ["hold"]])
def test_a_command_without_arguments_prints_its_help_alone(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2
    shown = capsys.readouterr()
    assert "Usage: iplum" in shown.out + shown.err
    assert "error:" not in shown.out + shown.err
