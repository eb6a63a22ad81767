"""Alerts of commands that run unattended, as from cron: for failures, and for damaged data."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from iplum_resource.errors import IPlumError
from pipelines.settings import Settings
from warehouse.errors import WarehouseError

if TYPE_CHECKING:
    from pipelines.alerts import Alert
    from warehouse.checks.data_problems import DataProblem


@contextmanager
def alert_on_failure(settings: Settings, job: str) -> Iterator[list[str]]:
    """Yield a list of failures, and send an alert for them afterwards unless a person watches the terminal."""
    failures: list[str] = []
    try:
        yield failures
    except (WarehouseError, IPlumError, OSError) as error:
        failures.append(str(error))
        raise
    finally:
        if failures and _is_unattended(settings):
            from pipelines.alerts import describe_run

            _send(describe_run(job, "", failures, settings), settings)


def alert_about_problems(settings: Settings, problems: "Sequence[DataProblem]") -> None:
    """Send an alert for damaged data, unless a person watches the terminal."""
    damages = [str(problem) for problem in problems if problem.is_damage]
    if damages and _is_unattended(settings):
        from pipelines.alerts import describe_damages

        _send(describe_damages(damages), settings)


def _is_unattended(settings: Settings) -> bool:
    return settings.alerts.is_on and not sys.stderr.isatty()


def _send(alert: "Alert", settings: Settings) -> None:
    from pipelines.alerts import AlertFailed, send_alert

    try:
        send_alert(alert, settings.alerts)
    except AlertFailed as error:
        typer.echo(f"error: {error}", err=True)
