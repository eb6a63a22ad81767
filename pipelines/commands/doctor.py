"""`iplum doctor`: checks of everything that a sync needs."""

import os
from collections.abc import Iterable
from itertools import chain
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from pipelines.clock import now
from pipelines.commands.invocation import AsJson, open_console, write_json
from pipelines.doctor.diagnosis import Diagnosis, State, choose_exit_code
from pipelines.settings import adopt_environment, find_home, read_environment

_WORDS = {
    State.OK: ("OK", "green"),
    State.WARNING: ("NOTE", "yellow"),
    State.SKIPPED: ("--", "dim"),
    State.FAILED: ("FAIL", "bold red"),
    State.WRONG: ("FAIL", "bold red"),
}


def doctor(
    as_json: AsJson = False, try_alert: Annotated[bool, typer.Option("--try-alert", help="Send a test alert.")] = False
) -> None:
    """Check settings, clock, keys, permissions, data folder and Dagster, and suggest fixes.

    It sends at most about 20 short requests to iPlum, or only one if iPlum rejects the keys. It shows no secrets and
    changes nothing. The exit code is 0 if a sync can work, 2 for a wrong setting, and 1 for any other failure.

    Examples: `iplum doctor` · `iplum doctor --json` · `iplum doctor --try-alert`
    """
    from pipelines.doctor import run_diagnosis
    from pipelines.doctor.configuration import diagnose_home

    home = find_home(os.environ)
    environ = read_environment(os.environ, home.path)
    adopt_environment(environ)
    diagnoses = chain([diagnose_home(home)], run_diagnosis(environ, home.path, clock=now, try_alert=try_alert))
    if as_json:
        seen = list(diagnoses)
        code = choose_exit_code(seen)
        lines = [{"name": one.name, "state": one.state, "found": one.found, "remedy": one.fix} for one in seen]
        write_json({"ok": code == 0, "lines": lines})
    else:
        code = show_diagnoses(diagnoses)
    if code:
        raise typer.Exit(code)


def show_diagnoses(diagnoses: Iterable[Diagnosis]) -> int:
    """Print each line as soon as it is known, and return the exit code."""
    console, seen = open_console(), []
    for diagnosis in diagnoses:
        seen.append(diagnosis)
        if console.is_terminal:
            console.print(_render(diagnosis))
        else:
            typer.echo(f"{_WORDS[diagnosis.state][0]:<6}{diagnosis.name:<21}{diagnosis.found}")
            if diagnosis.fix:
                typer.echo(f"{'':<27}-> {diagnosis.fix}")
    return choose_exit_code(seen)


def _render(diagnosis: Diagnosis) -> Table:
    word, style = _WORDS[diagnosis.state]
    line = Table.grid(padding=(0, 2))
    line.add_column(width=4)
    line.add_column(width=19)
    line.add_column(overflow="fold")
    line.add_row(Text(word, style), Text(diagnosis.name), Text(diagnosis.found))
    if diagnosis.fix:
        line.add_row("", "", Text(f"-> {diagnosis.fix}"))
    return line
