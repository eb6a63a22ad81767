"""`iplum init`: from two keys to a first sync."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.doctor import show_verdicts
from pipelines.commands.invocation import now
from pipelines.commands.sync import sync_and_show
from pipelines.settings import (
    PROJECT,
    VARIABLES,
    Settings,
    SettingsError,
    adopt_environment,
    check_credentials,
    load_settings,
    read_env_file,
)
from pipelines.settings.accounts_file import FILE_NAME

_ACCESS_KEY, _SECRET_KEY, _LOGIN_ID = "IPLUM_ACCESS_KEY", "IPLUM_SECRET_KEY", "IPLUM_LOGIN_ID"
_START_DATE, _TIMEZONE = "IPLUM_START_DATE", "IPLUM_TIMEZONE"
_QUESTIONS = {
    _ACCESS_KEY: "Access key",
    _SECRET_KEY: "Secret key",
    _LOGIN_ID: "Login ID of an administrator",
    _START_DATE: "First day of history",
    _TIMEZONE: "Time zone of the office, as America/New_York",
}
_HIDDEN = {_ACCESS_KEY, _SECRET_KEY}
_DATASETS = 2
_QUERY = ".venv/bin/iplum sql 'SELECT channel, count(*) FROM usage GROUP BY 1'"


def init(
    login_id: Annotated[str | None, typer.Option(metavar="ID", help="Login ID of an administrator.")] = None,
    start_date: Annotated[str | None, typer.Option(metavar="DAY", help="First day of history.")] = None,
    timezone: Annotated[str | None, typer.Option(metavar="ZONE", help="IANA name, as America/New_York.")] = None,
    keys_stdin: Annotated[
        bool, typer.Option("--keys-stdin", help="Read access key and secret key from two lines of standard input.")
    ] = False,
    sync: Annotated[
        bool | None, typer.Option("--sync/--no-sync", help="Begin the first sync without asking, or don't.")
    ] = None,
    env_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="The file to write; else .env in this project's folder.")
    ] = None,
) -> None:
    """Set up: ask for the keys, write `.env` for your eyes only, run the doctor, offer the first sync.

    Keys are never given on the command line, where others can read them: without a terminal they come from
    IPLUM_ACCESS_KEY and IPLUM_SECRET_KEY in the environment, or from standard input. A `.env` that is there keeps
    its other lines; Enter keeps what it says.

    Examples: `iplum init` · `iplum init --keys-stdin --login-id ann@clinic.example --sync < keys.txt`
    """
    if (PROJECT / FILE_NAME).exists():
        raise SettingsError(f"{FILE_NAME} is there: write the accounts there and their keys into .env by hand")
    path = PROJECT / ".env" if env_file is None else Path(env_file).expanduser().absolute()
    standing = read_env_file(path)
    given = {_LOGIN_ID: login_id, _START_DATE: start_date, _TIMEZONE: timezone}
    if keys_stdin:
        given[_ACCESS_KEY], given[_SECRET_KEY] = (sys.stdin.readline().strip() for _ in range(2))
    is_asking = not keys_stdin and sys.stdin.isatty() and sys.stderr.isatty()
    chosen = _choose(given, standing, is_asking=is_asking)
    environ = {**standing, **os.environ, **chosen}
    settings = load_settings(environ, PROJECT)
    check_credentials(environ)
    from pipelines.settings.env_file import set_variables

    set_variables(path, {name: value for name, value in chosen.items() if standing.get(name) != value})
    typer.echo(f"written to {path}, which only you can read\n")
    os.environ.update(chosen)
    adopt_environment(environ)
    _examine(environ)
    _begin(settings, environ, wanted=sync, is_asking=is_asking)


def _choose(given: Mapping[str, str | None], standing: Mapping[str, str], *, is_asking: bool) -> dict[str, str]:
    """Find each value: as an option or on standard input, in the environment, by asking, or as it stands."""
    if is_asking:
        typer.echo("The keys: https://my.iplum.com, as an administrator, API & Call Backs. They stay hidden here.")
    chosen = {}
    for name in _QUESTIONS:
        value = given.get(name) or os.environ.get(name)
        if not value and is_asking:
            value = _ask(name, standing.get(name, ""))
        if value:
            chosen[name] = value
    return chosen


def _ask(name: str, standing: str) -> str:
    """Ask until the answer can be meant; what is typed is shown only where it is no key."""
    default = standing or next(variable.default for variable in VARIABLES if variable.name == name)
    hidden = name in _HIDDEN
    while True:
        value = typer.prompt(
            _QUESTIONS[name] + (" (Enter keeps the one in .env)" if hidden and standing else ""),
            default=default or None,
            hide_input=hidden,
            show_default=not hidden,
            err=True,
        ).strip()
        try:
            _CHECKS.get(name, _check_credential)(name, value)
        except SettingsError as error:
            typer.echo(f"error: {error}", err=True)
        else:
            return str(value)


def _check_credential(name: str, value: str) -> None:
    check_credentials({**dict.fromkeys((_ACCESS_KEY, _SECRET_KEY, _LOGIN_ID), "x"), name: value})


def _check_setting(name: str, value: str) -> None:
    load_settings({name: value}, PROJECT)


_CHECKS: Mapping[str, Callable[[str, str], None]] = {_START_DATE: _check_setting, _TIMEZONE: _check_setting}


def _examine(environ: Mapping[str, str]) -> None:
    from pipelines.doctor import examine

    code = show_verdicts(examine(environ, PROJECT, clock=now))
    if code:
        typer.echo("mend what says FAIL; 'iplum doctor' looks again, 'iplum init' asks again", err=True)
        raise typer.Exit(code)


def _begin(settings: Settings, environ: Mapping[str, str], *, wanted: bool | None, is_asking: bool) -> None:
    from pipelines.defs.schedules import find_due_ranges

    windows = sum(map(len, find_due_ranges(settings, now())))
    requests = windows * _DATASETS
    minutes = math.ceil(requests / settings.requests_per_second / 60)
    typer.echo(
        f"\nThe first sync brings {windows} windows of five days since {settings.start_date}: about {requests} "
        f"requests, {'a minute' if minutes == 1 else f'{minutes} minutes'} at IPLUM_REQUESTS_PER_SECOND="
        f"{settings.requests_per_second:g}. Stopped at any time, it goes on from there."
    )
    if wanted is None and is_asking:
        wanted = typer.confirm("Begin it now?", default=True, err=True)
    if not wanted:
        typer.echo("Begin it with: .venv/bin/iplum sync")
        return
    from pipelines.warehouse_folder import open_folder

    sync_and_show(settings, environ=environ)
    typer.echo(
        f"\nAsk the tables:    {_QUERY}\nLook at them:      {open_folder(settings).report}\n"
        f"Keep them current: make ui (syncs at {settings.sync_at:%H:%M} {settings.time_zone} while it runs), "
        "or a line in cron"
    )
