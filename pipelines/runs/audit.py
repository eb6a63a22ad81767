"""An audit from start to end, run through Dagster and recorded in its history."""

from collections.abc import Callable, Mapping
from datetime import date, datetime

from pipelines.defs.jobs import AUDIT
from pipelines.runs.sync import SyncReport, choose_ranges, run_windows
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
    """Request windows again, whole and in halves, and return the differences.

    Without days, all of history. Missing records are stored and published. Arguments and errors as for `sync`.
    """
    return run_windows(
        *accounts,
        environ=environ,
        only=only,
        job=AUDIT,
        choose=lambda settings: choose_ranges(settings, since=since or settings.start_date, until=until, now=clock()),
        progress=progress,
        clock=clock,
    )
