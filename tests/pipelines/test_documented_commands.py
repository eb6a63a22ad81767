"""Commands in the documentation: each is run by a test or exempt for a stated reason."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from iplum_resource.standin.options import Options
from iplum_resource.standin.server import Running
from pipelines import cli
from pipelines.generate_docs import list_pages
from pipelines.settings import PROJECT
from tests.support.account import Account
from warehouse.outputs.query import run_query

PAGES = {page.name: page.read_text() for page in [*list_pages(PROJECT), PROJECT / "CONTRIBUTING.md"]}

#: Commands in shell blocks that no test runs, with the reason.
EXEMPT = {
    r"make (setup|test)": "runs the tests themselves",
    r"make demo": "its parts are tested; test_generate_docs.py checks that the target exists",
    r"sudo |printf |echo '15 2 |cd /opt/iplum$": "changes a server; test_server.py runs it in a folder",
    r"(uv tool|pipx) install ": "needs the package index; .ci/wheel_walk.py installs the wheel with pip",
    r"podman ": "needs an image; test_container.py builds it and runs its commands",
    r"git ": "needs the remote repository",
    r"\.venv/bin/pytest": "runs the tests themselves",
    r"\.venv/bin/python -m pipelines\.generate_docs": "test_generate_docs.py checks its output",
    r"DAGSTER_HOME=\$\(\.venv/bin/python -m pipelines\.dagster_home\)": "run by test_server.py",
    r"\. \.venv/bin/activate|dagster-daemon |python -m pipelines\.dagster_ui |PYTHONPATH=\$PWD dagster-celery ": (
        "need a cluster; tests/end_to_end/test_cluster.py runs one"
    ),
    r"(AWS|IPLUM)_[A-Z_]+=": "lines of .env; tests/pipelines/runs/test_in_bucket.py sets these variables",
    r"export IPLUM_": "the stand-in's keys and address; a test below compares the keys",
    r"umask |tar ": "run by tests/end_to_end/test_restore.py",
}
SAMPLE = {"DAY": "2024-01-01", "DAYS": "2555", "FOLDER": "extract", "H": "127.0.0.1", "P": "1"}

#: iplum commands that the test of all commands skips, with the reason.
SKIPPED = {
    r"(export|hold|people|retention|sql)$": "the name of a command in a sentence; it needs arguments",
    r"init\b": "writes this project's own .env; run by test_init.py",
    r"retention --older-than 2555$": "prompts on a terminal; run by test_retention.py",
    r"receiver\b": "runs until it is stopped; run by test_receiver.py",
    r"(ui|demo)\b": "run by test_wheel.py",
    r"standin\b": "runs until it is stopped; run by test_cli.py",
    r"doctor --try-alert$": "sends a message; run by test_alerts.py",
}
#: Headings of queries that list what a healthy account does not have, or not in its first month.
MAY_BE_EMPTY = {"On which days were the credits unusual?", "Is anything missing?", "Which numbers are new this month?"}
IPLUM = r"(?:^|\s|bin/)iplum (?=[a-z])"


def list_shell_lines() -> list[str]:
    blocks = [block for text in PAGES.values() for block in re.findall(r"```(?:sh|crontab)\n(.*?)```", text, re.DOTALL)]
    joined = "\n".join(blocks).replace("\\\n", " ")
    lines = [line.partition(" #")[0].strip() for line in joined.splitlines()]
    return sorted({line for line in lines if line and not line.startswith("#")})


def list_iplum_commands() -> list[str]:
    """List all `iplum …` commands of the pages, in code blocks and in sentences."""
    inline = [code for text in PAGES.values() for code in re.findall(r"`([^`\n]+)`", text)]
    return sorted({command for line in [*inline, *list_shell_lines()] for command in find_iplum_commands(line)})


def find_iplum_commands(line: str) -> list[str]:
    """Return the command after `iplum` in a line, without redirections, as a list of one, or an empty list."""
    return [re.split(r" (?:>|<)", re.split(IPLUM, line)[-1])[0].strip()] if re.search(IPLUM, line) else []


@pytest.mark.parametrize("line", list_shell_lines())
def test_each_line_of_a_shell_block_is_run_or_exempt(line: str) -> None:
    assert re.search(IPLUM, line) or any(re.match(pattern, line) for pattern in EXEMPT), (
        "run it in a test, or add it to EXEMPT with the reason"
    )


def test_every_exemption_matches_a_documented_command() -> None:
    lines = list_shell_lines()
    assert [pattern for pattern in EXEMPT if not any(re.match(pattern, line) for line in lines)] == []


@pytest.mark.parametrize("command", list_iplum_commands())
def test_each_documented_iplum_command_is_accepted_by_the_command_line(command: str) -> None:
    # Optional parts are in brackets, and alternatives are separated by bars: the first one is used.
    words = [word.split("|")[0] for word in shlex.split(re.sub(r"[][\\…]", "", command))]
    commands: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    if len(words) == 1:
        assert words[0] in commands
        return
    commands[words[0]].make_context(words[0], [SAMPLE.get(word, word) for word in words[1:]])


@pytest.fixture
def new_account(
    standin: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Account:
    """An account in a folder with people.csv only. Commands run in this folder."""
    account = Account(standin, tmp_path, {"IPLUM_MEDIA_HOSTS": standin.url.removeprefix("http://")})
    account.set_options(rows_per_day=4)
    people = tmp_path / "people.csv"
    assert cli.run(["people", "template"]) == 0
    people.write_text(capsys.readouterr().out)
    account.changes["IPLUM_PEOPLE"] = str(people)
    # monkeypatch also restores the variables that `iplum init` sets in this process.
    for name, value in {**account.environ, "IPLUM_TIMEZONE": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return account


def test_the_documented_commands_run_in_reading_order(new_account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    """Run the commands of all pages in reading order in a new folder, then the SQL and Python examples."""
    for command in list_commands_to_run():
        code = cli.run(list(fill_in(command, new_account)))
        assert code == 0, f"iplum {command}: {capsys.readouterr()}"
    assert new_account.folder.report.is_file()
    assert (new_account.path / "case-17").is_dir()

    query = "SELECT counterparty FROM usage WHERE counterparty_kind = 'phone' ORDER BY ALL LIMIT 1"
    ((number,),) = run_query(new_account.folder, query).rows
    queries = list_titled_queries(number.lstrip("+"))
    assert len(queries) > 10
    without_rows = {title for title, sql in queries if not list(run_query(new_account.folder, sql).rows)}
    assert without_rows <= MAY_BE_EMPTY
    (snippet,) = re.findall(r"- Python: `([^`]+)`", PAGES["sql.md"])
    python = [sys.executable, "-c", f"import duckdb; print(len({snippet}))"]
    assert int(subprocess.run(python, capture_output=True, text=True, check=True).stdout) > 0


def list_titled_queries(number: str) -> list[tuple[str, str]]:
    """List the SQL queries of all pages with the heading above each, for a counterparty's number."""
    titled = []
    for page in list_pages(PROJECT):
        for section in re.split(r"^#+ ", page.read_text().replace("4085550100", number), flags=re.MULTILINE):
            queries = [
                *re.findall(r'iplum sql "([^"]+)"', section),
                *re.findall(r"```sql\n(.+?)```", section, re.DOTALL),
            ]
            titled += [(section.partition("\n")[0], query) for query in queries]
    return titled


def test_the_documented_keys_are_those_of_the_stand_in() -> None:
    options = Options()
    keys = f"IPLUM_ACCESS_KEY={options.access_key} IPLUM_SECRET_KEY={options.secret_key}"
    assert f"export {keys} IPLUM_LOGIN_ID={options.login_id}" in list_shell_lines()


def test_every_skipped_pattern_matches_a_documented_command() -> None:
    commands = list_iplum_commands()
    assert [pattern for pattern in SKIPPED if not any(re.match(pattern, c) for c in commands)] == []


def list_commands_to_run() -> list[str]:
    """List the commands to run in reading order, without duplicates."""
    commands = [c for text in PAGES.values() for line in list_code(text) for c in find_iplum_commands(line)]
    return [c for c in dict.fromkeys(commands) if not any(re.match(pattern, c) for pattern in SKIPPED)]


def list_code(text: str) -> Iterator[str]:
    """Yield the shell lines of a page and the inline code of its sentences, unchanged."""
    joined = text.replace("\\\n", " ")
    for block, inline in re.findall(r"^```(?:sh|crontab)\n(.*?)^```|`([^`\n]+)`", joined, re.DOTALL | re.MULTILINE):
        yield from [inline] if inline else [line.partition(" #")[0] for line in block.splitlines()]


def fill_in(command: str, account: Account) -> Iterator[str]:
    """Replace placeholders and example values with values of the test account."""
    first_day = account.first_day
    option_values = {
        "--since": first_day,
        "--until": first_day + timedelta(days=10),
        "--start-date": first_day,
        "--login-id": "admin@clinic.example",
        "--timezone": "America/New_York",
        "--account": "default",
        "--user": "ann@clinic.example",
        "--counterparty": "+14085550100",
        "--older-than": 2555,
        "--env-file": account.path / ".env",
        "--output": account.path / "a report.html",
    }
    arguments = {"FOLDER": account.path / "extract", "QUERY": "SELECT 1", "NUMBER": 1}
    previous = ""
    # --try-alert is omitted because no recipient is configured.
    for word in shlex.split(re.sub(r"\[--try-alert\]|[][\\…]", "", command)):
        yield str(option_values[previous] if previous in option_values else arguments.get(word, word.split("|")[0]))
        previous = word
