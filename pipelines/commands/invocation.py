"""What every command begins and ends with: its settings, its days, its clock, and the failures it tells."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Annotated

import typer
from rich.console import Console

from pipelines.settings import PROJECT, Settings, adopt_environment, read_day, read_environment
from pipelines.settings.accounts_file import load_accounts

_UNWRAPPED = 10_000

Since = Annotated[str | None, typer.Option(metavar="DAY", help="First day, UTC, as 2024-01-31; included.")]
Until = Annotated[str | None, typer.Option(metavar="DAY", help="Day to stop before, UTC; excluded.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, for a program.")]
AccountName = Annotated[
    str | None, typer.Option("--account", metavar="NAME", help="Of this account of accounts.toml alone.")
]


def read_accounts() -> tuple[tuple[Settings, ...], dict[str, str]]:
    """Read the settings of all accounts, with the environment that Dagster is to see.

    They come from the environment, `.env` and `accounts.toml`. Raises `SettingsError` for what is missing or can't
    be meant.
    """
    environ = read_environment(os.environ, PROJECT)
    adopt_environment(environ)
    return load_accounts(environ, PROJECT), environ


def read_settings() -> tuple[Settings, dict[str, str]]:
    """Read what is the same for all accounts, as `read_accounts` does: folders, modes, the inbox."""
    accounts, environ = read_accounts()
    return accounts[0], environ


def read_range(since: str | None, until: str | None) -> tuple[date | None, date | None]:
    """Read `--since` and `--until`; raises `SettingsError` for what is no day."""
    return (
        None if since is None else read_day(since, "--since"),
        None if until is None else read_day(until, "--until"),
    )


def begin_day(day: date | None) -> datetime | None:
    """Give the first instant of a day in UTC."""
    return None if day is None else datetime.combine(day, time(), UTC)


def now() -> datetime:
    """Give the time: the only clock of the command line, and always UTC."""
    return datetime.now(UTC)


def open_console(*, stderr: bool = False) -> Console:
    """Give a console as wide as the terminal; elsewhere, nothing is wrapped."""
    if stderr and sys.stderr.isatty():
        # While a step runs, Dagster has standard error go to a file: a way of its own leads to the terminal.
        console = Console(file=os.fdopen(os.dup(sys.stderr.fileno()), "w"), highlight=False)
    else:
        console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = _UNWRAPPED
    return console


def write_json(value: object) -> None:
    """Write one JSON object for a program; failures stand in it, on stderr, and in the exit code."""
    typer.echo(json.dumps(value, indent=1))


def end_with(failures: Sequence[str]) -> None:
    """Print a line for each failure and end the command with 1 when there is one."""
    for failure in failures:
        typer.echo(f"error: {failure}", err=True)
    if failures:
        raise typer.Exit(1)
