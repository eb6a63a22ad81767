"""An audit from start to end, through Dagster and recorded in its history: what `iplum verify` asks the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime

from pipelines.defs.jobs import AUDIT
from pipelines.runs.sync import SyncReport, choose_ranges, run_pulls
from pipelines.settings import Settings
from pipelines.steps.progress import Progress


def audit(
    *accounts: Settings,
    environ: Mapping[str, str],
    only: str | None = None,
    since: date | None = None,
    until: date | None = None,
    progress: Progress,
    clock: Callable[[], datetime],
) -> SyncReport:
    """Ask for windows once more, in halves too, and report what differs from what is here.

    Without days, all of history. What was missing is kept and published. Takes and raises what `sync` does.
    """
    return run_pulls(
        *accounts,
        environ=environ,
        only=only,
        job=AUDIT,
        choose=lambda settings: choose_ranges(
            settings, since=since or settings.start_date, until=until, now=clock()
        ),
        progress=progress,
        clock=clock,
    )
