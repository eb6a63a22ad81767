"""`iplum doctor`: what works, what doesn't, and what to do next."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from pipelines.commands.invocation import now, open_console
from pipelines.doctor.verdict import State, Verdict, choose_exit_code
from pipelines.settings import PROJECT, adopt_environment, read_environment

_WORDS = {
    State.OK: ("OK", "green"),
    State.WARNING: ("NOTE", "yellow"),
    State.SKIPPED: ("--", "dim"),
    State.FAILED: ("FAIL", "bold red"),
    State.WRONG: ("FAIL", "bold red"),
}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for a program.")] = False,
    try_alert: Annotated[bool, typer.Option("--try-alert", help="Send an alert, to see that it arrives.")] = False,
) -> None:
    """Look at settings, clock, keys, permissions, data folder and Dagster; a line each, and what to do next.

    Asks iPlum at most about twenty short questions, and a single one where it refuses the keys. Shows no secret
    and changes nothing. Exit code 0 where a sync can work, 2 for a wrong setting, 1 for what else is in its way.

    Examples: `iplum doctor` · `iplum doctor --json` · `iplum doctor --try-alert`
    """
    from pipelines.doctor import examine

    environ = read_environment(os.environ, PROJECT)
    adopt_environment(environ)
    verdicts = examine(environ, PROJECT, clock=now, try_alert=try_alert)
    code = _write_json(list(verdicts)) if as_json else show_verdicts(verdicts)
    if code:
        raise typer.Exit(code)


def show_verdicts(verdicts: Iterable[Verdict]) -> int:
    """Print a line for each as soon as it is known, and give the exit code that follows."""
    console, seen = open_console(), []
    for verdict in verdicts:
        seen.append(verdict)
        if console.is_terminal:
            console.print(_draw(verdict))
        else:
            _write_plainly(verdict)
    return choose_exit_code(seen)


def _draw(verdict: Verdict) -> Table:
    word, style = _WORDS[verdict.state]
    line = Table.grid(padding=(0, 2))
    line.add_column(width=4)
    line.add_column(width=19)
    line.add_column(overflow="fold")
    line.add_row(Text(word, style), Text(verdict.name), Text(verdict.found))
    if verdict.remedy:
        line.add_row("", "", Text(f"-> {verdict.remedy}"))
    return line


def _write_plainly(verdict: Verdict) -> None:
    typer.echo(f"{_WORDS[verdict.state][0]:<6}{verdict.name:<21}{verdict.found}")
    if verdict.remedy:
        typer.echo(f"{'':<27}-> {verdict.remedy}")


def _write_json(verdicts: list[Verdict]) -> int:
    code = choose_exit_code(verdicts)
    typer.echo(json.dumps({"ok": code == 0, "lines": [asdict(verdict) for verdict in verdicts]}, indent=1))
    return code
