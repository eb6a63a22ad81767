"""Settings, day options, clock, console and exit codes shared by all commands."""

import getpass
import json
import math
import os
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

import typer
from rich.console import Console

from pipelines.commands.failure_alert import alert_on_failure
from pipelines.settings import (
    Settings,
    adopt_environment,
    check_given_secrets,
    find_home,
    load_accounts,
    parse_day_text,
    read_environment,
)
from pipelines.warehouse_folder import open_folder

_NO_WRAP = 10_000
_MOST_MINUTES = 120
_PLURALS = {"entry": "entries", "person": "people", "number or login": "numbers and logins"}

Since = Annotated[str | None, typer.Option(metavar="DAY", help="First day (UTC), such as 2024-01-31.")]
Until = Annotated[str | None, typer.Option(metavar="DAY", help="Stop before this day (UTC).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Account = Annotated[
    str | None, typer.Option("--account", metavar="NAME", help="Only this account (a name from accounts.toml).")
]


def read_accounts(job: str | None = None) -> tuple[tuple[Settings, ...], dict[str, str]]:
    """Load the settings of all accounts and the environment with `.env`; set its variables in this process for Dagster.

    A data folder that cannot be used sends an alert if `job` names a command that may run unattended. Raises
    `SettingsError`, `StorageFailed`, and `FolderRefused` for files that are symlinks or belong to another user.
    """
    accounts, environ = _load()
    with alert_on_failure(accounts[0], job) if job else nullcontext():
        open_folder(accounts[0]).require_own_files()
    return accounts, environ


def read_settings() -> tuple[Settings, dict[str, str]]:
    """Load the settings that all accounts share, as `read_accounts` does."""
    accounts, environ = read_accounts()
    return accounts[0], environ


def read_settings_of_reader(*names: str) -> Settings:
    """Load the settings that all accounts share, for a command that only reads the snapshot, the holds and `names`."""
    accounts, _ = _load()
    open_folder(accounts[0]).require_readable(*names)
    return accounts[0]


def _load() -> tuple[tuple[Settings, ...], dict[str, str]]:
    home = find_home(os.environ).path
    environ = read_environment(os.environ, home)
    adopt_environment(environ)
    accounts = load_accounts(environ, home)
    for settings in accounts:
        check_given_secrets(environ, settings.secrets)
    return accounts, environ


def find_user() -> str:
    """Return the name of the user who runs the command, or the numeric ID of one without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def read_range(since: str | None, until: str | None) -> tuple[date | None, date | None]:
    """Parse `--since` and `--until`; raises `SettingsError`."""
    return (
        None if since is None else parse_day_text(since, "--since"),
        None if until is None else parse_day_text(until, "--until"),
    )


def start_of_day(day: date | None) -> datetime | None:
    """Return the first instant of a day (UTC)."""
    return None if day is None else datetime.combine(day, time(), UTC)


def format_count(number: int, noun: str) -> str:
    """Format a number with its noun: `1 window`, `2,000 windows`."""
    return f"{number:,} {noun if number == 1 else _PLURALS.get(noun, f'{noun}s')}"


def format_minutes(duration: timedelta) -> str:
    """Format a duration in whole minutes or hours, rounded up: `1 minute`, `90 minutes`, `5 hours`."""
    minutes = max(1, math.ceil(duration / timedelta(minutes=1)))
    if minutes > _MOST_MINUTES:
        return format_count(math.ceil(minutes / 60), "hour")
    return format_count(minutes, "minute")


def open_console(*, stderr: bool = False) -> Console:
    """Open a console as wide as the terminal. Without a terminal, lines are not wrapped."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = _NO_WRAP
    return console


def write_json(value: object) -> None:
    """Print one JSON object."""
    typer.echo(json.dumps(value, indent=1))


def exit_on(failures: Sequence[str]) -> None:
    """Print a line for each failure, and exit with 1 if there is one."""
    for failure in failures:
        typer.echo(f"error: {failure}", err=True)
    if failures:
        raise typer.Exit(1)
