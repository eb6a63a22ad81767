"""Telling of a failed command that nobody watches, as cron runs it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from iplum_resource.errors import IPlumError
from pipelines.settings import Settings
from warehouse.errors import WarehouseError


@contextmanager
def alert_on_failure(settings: Settings, job: str) -> Iterator[list[str]]:
    """Lend a list of failures, and tell of them in the end where nobody sits at a terminal to read them."""
    failures: list[str] = []
    try:
        yield failures
    except (WarehouseError, IPlumError, OSError) as error:
        failures.append(str(error))
        raise
    finally:
        if failures and settings.alerts.is_on and not sys.stderr.isatty():
            _tell(settings, job, failures)


def _tell(settings: Settings, job: str, failures: list[str]) -> None:
    from pipelines.alerts import AlertFailed, describe_run, send_alert

    try:
        send_alert(describe_run(job, "", failures, settings), settings.alerts)
    except AlertFailed as error:
        typer.echo(f"error: {error}", err=True)
