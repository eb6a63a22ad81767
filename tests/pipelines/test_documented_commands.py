"""Every command in the pages: run by a test, or exempt for a reason that is named here."""

import re
import shlex
from typing import Any

import pytest
import typer

from pipelines import cli
from pipelines.documentation import list_pages
from pipelines.settings import PROJECT

PAGES = {page.name: page.read_text() for page in [*list_pages(PROJECT), PROJECT / "CONTRIBUTING.md"]}

#: Commands of shell blocks that no test runs, and why.
EXEMPT = {
    r"make (setup|test)": "what these tests are run by",
    r"make demo": "its parts are tested; test_documentation.py holds that the target is there",
    r"sudo ": "changes a whole server; tests/test_deploy.py holds what it installs",
    r"echo IPLUM_DATA=": "writes to a server's .env",
    r"git ": "needs where the project was cloned from",
    r"\.venv/bin/pytest": "what these tests are run by",
    r"\.venv/bin/python -m pipelines\.documentation": "test_documentation.py holds what it writes",
    r"\. \.venv/bin/activate|dagster-(webserver|daemon) |PYTHONPATH=\$PWD dagster-celery ": (
        "need a cluster; played by tests/end_to_end/test_cluster.py"
    ),
    r"(AWS|IPLUM)_[A-Z_]+=": "lines of .env; tests/pipelines/test_in_bucket.py sets them",
    r"umask |tar ": "run by tests/end_to_end/test_restore.py",
}
SAMPLE = {"DAY": "2024-01-01", "DAYS": "2555", "FOLDER": "there", "H": "127.0.0.1", "P": "1"}
IPLUM = r"(?:^|\s|bin/)iplum (?=[a-z])"


def list_shell_lines() -> list[str]:
    blocks = [
        block for text in PAGES.values() for block in re.findall(r"```(?:sh|crontab)\n(.*?)```", text, re.DOTALL)
    ]
    joined = "\n".join(blocks).replace("\\\n", " ")
    lines = [line.partition(" #")[0].strip() for line in joined.splitlines()]
    return sorted({line for line in lines if line and not line.startswith("#")})


def list_iplum_commands() -> list[str]:
    """List every `iplum …` of the pages, in blocks and in running text."""
    inline = [found for text in PAGES.values() for found in re.findall(r"`([^`\n]+)`", text)]
    commands = [re.split(IPLUM, line)[-1] for line in [*inline, *list_shell_lines()] if re.search(IPLUM, line)]
    return sorted({command.partition(" >>")[0] for command in commands})


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
        # A command's name in a sentence, or its beginning where completion is told of.
        assert any(name.startswith(words[0]) for name in commands)
        return
    commands[words[0]].make_context(words[0], [SAMPLE.get(word, word) for word in words[1:]])
