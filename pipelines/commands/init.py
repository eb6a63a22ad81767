"""`iplum init`: setup, from the keys to the first sync."""

import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from pipelines.clock import now
from pipelines.commands.doctor import show_diagnoses
from pipelines.commands.invocation import format_count, format_minutes
from pipelines.commands.sync import sync_and_show
from pipelines.settings import (
    ACCOUNTS_FILE,
    PROGRAM,
    VARIABLES,
    Settings,
    SettingsError,
    adopt_environment,
    check_credentials,
    find_home,
    load_settings,
    read_env_file,
    set_variables,
)
from pipelines.warehouse_folder import open_folder

_ACCESS_KEY, _SECRET_KEY, _LOGIN_ID = "IPLUM_ACCESS_KEY", "IPLUM_SECRET_KEY", "IPLUM_LOGIN_ID"
_START_DATE, _TIMEZONE, _BUSINESS_HOURS = "IPLUM_START_DATE", "IPLUM_TIMEZONE", "IPLUM_BUSINESS_HOURS"
_QUESTIONS = {
    _ACCESS_KEY: "Access key",
    _SECRET_KEY: "Secret key",
    _LOGIN_ID: "Administrator's login ID",
    _START_DATE: "First day of history (YYYY-MM-DD)",
    _TIMEZONE: "Time zone of the office, such as America/New_York",
    _BUSINESS_HOURS: "Business hours of the office",
}
_CREDENTIALS = (_ACCESS_KEY, _SECRET_KEY, _LOGIN_ID)
_HIDDEN = {_ACCESS_KEY, _SECRET_KEY}
_DATASETS = 2
_QUERY = "sql 'SELECT channel, count(*) FROM usage GROUP BY 1'"


def init(
    login_id: Annotated[str | None, typer.Option(metavar="ID", help="Administrator's login ID.")] = None,
    start_date: Annotated[str | None, typer.Option(metavar="DAY", help="First day of history.")] = None,
    timezone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="IANA time zone, such as America/New_York.")
    ] = None,
    business_hours: Annotated[
        str | None, typer.Option(metavar="HOURS", help="Business hours, such as 'mon-fri 09:00-17:00'.")
    ] = None,
    keys_stdin: Annotated[
        bool, typer.Option("--keys-stdin", help="Read access key and secret key from two lines of standard input.")
    ] = False,
    sync: Annotated[
        bool | None, typer.Option("--sync/--no-sync", help="Start the first sync, or skip it, without asking.")
    ] = None,
    env_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="File to write. Default: .env in the home.")
    ] = None,
) -> None:
    """Ask for the keys, write `.env`, run the checks of 'iplum doctor', and offer the first sync.

    Keys are not options, because other users of the machine can read a command line. Without a terminal, they are
    read from IPLUM_ACCESS_KEY and IPLUM_SECRET_KEY in the environment, or from standard input. Other lines of an
    existing `.env` are kept; press Enter to keep its values.

    Examples: `iplum init` · `iplum init --keys-stdin --login-id ann@clinic.example --sync < keys.txt`
    """
    home = find_home(os.environ)
    if (home.path / ACCOUNTS_FILE).exists():
        raise SettingsError(f"{ACCOUNTS_FILE} exists: add accounts there, and their keys to .env")
    path = home.path / ".env" if env_file is None else Path(env_file).expanduser().absolute()
    current = read_env_file(path)
    given = {_LOGIN_ID: login_id, _START_DATE: start_date, _TIMEZONE: timezone, _BUSINESS_HOURS: business_hours}
    if keys_stdin:
        given[_ACCESS_KEY], given[_SECRET_KEY] = (sys.stdin.readline().strip() for _ in range(2))
    is_interactive = not keys_stdin and sys.stdin.isatty() and sys.stderr.isatty()
    values = _collect_values(given, current, is_interactive=is_interactive)
    environ = {**current, **os.environ, **values}
    settings = load_settings(environ, home.path)
    _check_start_date(settings)
    check_credentials(environ)
    set_variables(path, {name: value for name, value in values.items() if current.get(name) != value})
    typer.echo(f"Written to {path}, readable only by you.\n")
    os.environ.update(values)
    adopt_environment(environ)
    from pipelines.doctor import run_diagnosis

    code = show_diagnoses(run_diagnosis(environ, home.path, clock=now))
    if code:
        typer.echo(
            "Fix the lines with FAIL, then run 'iplum doctor' again, or 'iplum init' to change values.", err=True
        )
        raise typer.Exit(code)
    _offer_sync(settings, environ, starts_sync=sync, is_interactive=is_interactive)


def _collect_values(
    given: Mapping[str, str | None], current: Mapping[str, str], *, is_interactive: bool
) -> dict[str, str]:
    """Find each value: as an option, on standard input, in the environment, at a prompt, or in `.env`."""
    if is_interactive:
        typer.echo(
            "Find the keys at https://my.iplum.com, as an administrator, under API & Call Backs. Your input is hidden."
        )
    values = {}
    for name in _QUESTIONS:
        value = given.get(name) or os.environ.get(name)
        if not value and is_interactive:
            try:
                value = _ask(name, current.get(name, ""))
            except typer.Abort:
                raise typer.Abort("Nothing was written.") from None
        if value:
            values[name] = value
    return values


def _ask(name: str, current: str) -> str:
    """Ask until the value is valid; keys are not shown."""
    default = current or next(variable.default for variable in VARIABLES if variable.name == name)
    hidden = name in _HIDDEN
    while True:
        value = typer.prompt(
            _QUESTIONS[name] + (" (Enter keeps the one in .env)" if hidden and current else ""),
            default=default or None,
            hide_input=hidden,
            show_default=not hidden,
            err=True,
        ).strip()
        try:
            if name in _CREDENTIALS:
                check_credentials({**dict.fromkeys(_CREDENTIALS, "x"), name: value})
            else:
                _check_start_date(load_settings({name: value}, Path()))
        except SettingsError as error:
            typer.echo(f"error: {error}", err=True)
        else:
            return str(value)


def _check_start_date(settings: Settings) -> None:
    today = now().date()
    if settings.start_date > today:
        raise SettingsError(f"{_START_DATE}={settings.start_date} is in the future (it is {today} in UTC)")


def _offer_sync(
    settings: Settings, environ: Mapping[str, str], *, starts_sync: bool | None, is_interactive: bool
) -> None:
    from pipelines.defs.schedules import find_due_ranges

    windows = sum(map(len, find_due_ranges(settings, now())))
    requests = windows * _DATASETS
    duration = format_minutes(timedelta(seconds=requests / settings.requests_per_second))
    typer.echo(
        f"\nThe first sync covers {format_count(windows, 'window')} (up to five days each) since {settings.start_date}:"
        f" about {format_count(requests, 'request')}, {duration} at IPLUM_REQUESTS_PER_SECOND="
        f"{settings.requests_per_second:g}. If it is interrupted, the next sync continues where it stopped."
    )
    if starts_sync is None and is_interactive:
        starts_sync = typer.confirm("Start it now?", default=True, err=True)
    if not starts_sync:
        typer.echo(f"Start it with: {PROGRAM} sync")
        return
    sync_and_show(settings, environ=environ)
    typer.echo(
        f"\nQuery:          {PROGRAM} {_QUERY}\nReport:         {open_folder(settings).report}\n"
        f"Daily updates:  {PROGRAM} ui (syncs at {settings.sync_at:%H:%M} {settings.time_zone} while it runs), or cron"
    )
