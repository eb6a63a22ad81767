"""Alerts for failed commands that run unattended, as from cron."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from iplum_resource.errors import IPlumError
from pipelines.settings import Settings
from warehouse.errors import WarehouseError


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
        if failures and settings.alerts.is_on and not sys.stderr.isatty():
            _send_alert(settings, job, failures)


def _send_alert(settings: Settings, job: str, failures: list[str]) -> None:
    from pipelines.alerts import AlertFailed, describe_run, send_alert

    try:
        send_alert(describe_run(job, "", failures, settings), settings.alerts)
    except AlertFailed as error:
        typer.echo(f"error: {error}", err=True)
