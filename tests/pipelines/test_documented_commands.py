"""Every command in the pages: run by a test, or exempt for a reason that is named here."""

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

from iplum_resource.standin.server import Running
from pipelines import cli
from pipelines.generate_docs import list_pages
from pipelines.settings import PROJECT
from tests.support.account import Account
from warehouse.outputs.query import run_query

PAGES = {page.name: page.read_text() for page in [*list_pages(PROJECT), PROJECT / "CONTRIBUTING.md"]}

#: Commands of shell blocks that no test runs, and why.
EXEMPT = {
    r"make (setup|test)": "what these tests are run by",
    r"make demo": "its parts are tested; test_generate_docs.py checks that the target is there",
    r"sudo ": "changes a whole server; tests/test_deploy.py holds what it installs",
    r"echo IPLUM_DATA=": "writes to a server's .env",
    r"git ": "needs where the project was cloned from",
    r"\.venv/bin/pytest": "what these tests are run by",
    r"\.venv/bin/python -m pipelines\.generate_docs": "test_generate_docs.py holds what it writes",
    r"\. \.venv/bin/activate|dagster-(webserver|daemon) |PYTHONPATH=\$PWD dagster-celery ": (
        "need a cluster; played by tests/end_to_end/test_cluster.py"
    ),
    r"(AWS|IPLUM)_[A-Z_]+=": "lines of .env; tests/pipelines/runs/test_in_bucket.py sets them",
    r"umask |tar ": "run by tests/end_to_end/test_restore.py",
}
SAMPLE = {"DAY": "2024-01-01", "DAYS": "2555", "FOLDER": "there", "H": "127.0.0.1", "P": "1"}

#: iplum commands that the test below skips, and why.
UNWALKED = {
    r"(export|hold|retention|sql)$": "a name in a sentence: each needs arguments",
    r"init\b": "writes this project's own .env; run by test_init.py",
    r"retention --older-than 2555$": "asks on a terminal; run by test_retention.py",
    r"receiver\b": "runs until it is stopped; run by test_receiver.py",
    r"standin\b": "runs until it is stopped; run by test_cli.py",
    r"doctor --try-alert$": "sends a message; run by test_alerts.py",
}
IPLUM = r"(?:^|\s|bin/)iplum (?=[a-z])"


def list_shell_lines() -> list[str]:
    blocks = [block for text in PAGES.values() for block in re.findall(r"```(?:sh|crontab)\n(.*?)```", text, re.DOTALL)]
    joined = "\n".join(blocks).replace("\\\n", " ")
    lines = [line.partition(" #")[0].strip() for line in joined.splitlines()]
    return sorted({line for line in lines if line and not line.startswith("#")})


def list_iplum_commands() -> list[str]:
    """List every `iplum …` of the pages, in blocks and in running text."""
    inline = [found for text in PAGES.values() for found in re.findall(r"`([^`\n]+)`", text)]
    return sorted({command for line in [*inline, *list_shell_lines()] for command in find_iplum_commands(line)})


def find_iplum_commands(line: str) -> list[str]:
    """Get what follows `iplum` in a line, in a list that is empty where nothing does."""
    return [re.split(IPLUM, line)[-1].partition(" >>")[0].partition(" <")[0].strip()] if re.search(IPLUM, line) else []


@pytest.mark.parametrize("line", list_shell_lines())
def test_each_line_of_a_shell_block_is_run_or_exempt(line: str) -> None:
    assert re.search(IPLUM, line) or any(re.match(pattern, line) for pattern in EXEMPT), (
        "run it in a test, or say why not"
    )


def test_no_exemption_is_left_over() -> None:
    lines = list_shell_lines()
    assert [pattern for pattern in EXEMPT if not any(re.match(pattern, line) for line in lines)] == []


@pytest.mark.parametrize("command", list_iplum_commands())
def test_each_iplum_command_is_one_that_the_command_line_takes(command: str) -> None:
    # An option in brackets may be left out, and of words between bars one is chosen.
    words = [word.split("|")[0] for word in shlex.split(re.sub(r"[][\\…]", "", command))]
    commands: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    if len(words) == 1:
        assert words[0] in commands
        return
    commands[words[0]].make_context(words[0], [SAMPLE.get(word, word) for word in words[1:]])


@pytest.fixture
def newcomer(standin: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """Make an account in an empty folder, which is where its commands run."""
    account = Account(standin, tmp_path, {"IPLUM_MEDIA_HOSTS": standin.url.removeprefix("http://")})
    account.play(rows_per_day=4)
    # What `iplum init` sets in its own process is put back after the test.
    for name, value in {**account.environ, "IPLUM_TIMEZONE": ""}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return account


def test_the_commands_of_the_pages_run_one_after_another(newcomer: Account, capsys: pytest.CaptureFixture[str]) -> None:
    """Run the commands of all pages in reading order, in an empty folder, then the SQL and Python examples."""
    for command in list_walk():
        code = cli.run(list(fill_in(command, newcomer)))
        assert code == 0, f"iplum {command}: {capsys.readouterr()}"
    assert newcomer.folder.report.is_file()
    assert (newcomer.path / "case-17").is_dir()

    text = "\n".join(page.read_text() for page in list_pages(PROJECT))
    query = "SELECT counterparty FROM usage WHERE counterparty_kind = 'phone' ORDER BY ALL LIMIT 1"
    ((number,),) = run_query(newcomer.folder, query).rows
    queries = re.findall(r"```sql\n(.+?)```", text.replace("4085550100", number.lstrip("+")), re.DOTALL)
    without_rows = {
        query.split("FROM ")[1].split()[0] for query in queries if not list(run_query(newcomer.folder, query).rows)
    }
    # They show what is out of the ordinary, which here nothing need be.
    assert without_rows <= {"marts.completeness", "marts.contacts", "marts.credits_daily"}
    (snippet,) = re.findall(r"- Python: `([^`]+)`", PAGES["sql.md"])
    python = [sys.executable, "-c", f"import duckdb; print(len({snippet}))"]
    assert int(subprocess.run(python, capture_output=True, text=True, check=True).stdout) > 0


def test_no_command_is_left_out_of_the_walk_for_nothing() -> None:
    commands = list_iplum_commands()
    assert [pattern for pattern in UNWALKED if not any(re.match(pattern, c) for c in commands)] == []


def list_walk() -> list[str]:
    """List the commands to run in the order in which a reader meets them, each once."""
    found = [c for text in PAGES.values() for line in list_code(text) for c in find_iplum_commands(line)]
    return [c for c in dict.fromkeys(found) if not any(re.match(pattern, c) for pattern in UNWALKED)]


def list_code(text: str) -> Iterator[str]:
    """List a page's shell lines and the code in its sentences, as they stand."""
    joined = text.replace("\\\n", " ")
    for block, inline in re.findall(r"^```(?:sh|crontab)\n(.*?)^```|`([^`\n]+)`", joined, re.DOTALL | re.MULTILINE):
        yield from [inline] if inline else [line.partition(" #")[0] for line in block.splitlines()]


def fill_in(command: str, account: Account) -> Iterator[str]:
    """Replace placeholders and example values with values of the test account."""
    first_day = account.first_day
    chosen = {
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
    before = ""
    # The alert is left out, which needs an address to send it to.
    for word in shlex.split(re.sub(r"\[--try-alert\]|[][\\…]", "", command)):
        yield str(chosen[before] if before in chosen else arguments.get(word, word.split("|")[0]))
        before = word
