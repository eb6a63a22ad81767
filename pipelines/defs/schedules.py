"""When windows are pulled: each day, whatever is missing or due by then, and each week some that are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, time, timedelta

import dagster as dg

from pipelines.defs.failures import fail
from pipelines.defs.jobs import ARCHIVE, AUDIT, SYNC, AccountJob
from pipelines.defs.partitions import MAX_WINDOWS_PER_RUN, tag_range
from pipelines.settings import Settings
from pipelines.warehouse_folder import open_folder
from warehouse.archive.backlog import find_backlog
from warehouse.errors import WarehouseError
from warehouse.lake.due_windows import find_audits, find_due, group_into_ranges, read_states
from warehouse.raw.deletion_log import find_first_kept_window
from warehouse.schema.tables import ARCHIVE_TABLES, FOLDED_TABLES
from warehouse.windows import StorageWindow, window_of, windows_between

#: A year of windows: at five requests a second, five minutes.
WINDOWS_PER_AUDIT = 80
_AUDIT_HOURS_AFTER_SYNC = 3


def find_first_window(settings: Settings) -> StorageWindow:
    """Say with which window an account's history begins: that of its start date, or the first not deleted."""
    floor = find_first_kept_window(open_folder(settings), settings.account)
    start = window_of(settings.start_date)
    return start if floor is None else max(start, floor)


def find_due_ranges(settings: Settings, now: datetime) -> list[list[StorageWindow]]:
    """List what a sync at `now` (aware UTC) owes: stretches of windows for one run each, newest first.

    A window is owed when usage or recordings are: what no complete pull covers, the look-back, holes. One that
    was deleted is not.
    """
    since = find_first_window(settings).start
    windows = list(windows_between(since, now + timedelta(microseconds=1)))
    folder = open_folder(settings).with_cached_listings(settings.account)
    due = {
        window
        for table in FOLDED_TABLES
        for window in find_due(
            read_states(folder, table, settings.account, windows),
            since=since,
            now=now,
            lookback=timedelta(days=settings.lookback_days),
        )
    }
    return list(group_into_ranges(sorted(due), at_most=MAX_WINDOWS_PER_RUN))


def build_daily_sync(
    settings: Settings, job: dg.JobDefinition | dg.UnresolvedAssetJobDefinition, *, clock: Callable[[], datetime]
) -> dg.ScheduleDefinition:
    """Make `daily_sync`, which is on from the start.

    Dagster doesn't catch up on ticks missed while the machine was off; what they would have pulled is due.
    """

    @dg.schedule(
        name=settings.name("daily_sync"),
        job=job,
        cron_schedule=_write_cron(settings.sync_at),
        execution_timezone=settings.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            "Each day: the window still open, the look-back, and every hole since IPLUM_START_DATE, in runs of at "
            "most a year, newest first."
        ),
    )
    def daily_sync(context: dg.ScheduleEvaluationContext) -> Sequence[dg.RunRequest]:
        try:
            stretches = find_due_ranges(settings, clock())
        except WarehouseError as error:
            raise fail(error) from error
        return _request_runs(context, stretches, SYNC, settings)

    return daily_sync


def find_backlog_ranges(settings: Settings, now: datetime) -> list[list[StorageWindow]]:
    """List the windows with something to fetch at `now` (aware UTC): stretches for one run each, newest first."""
    folder = open_folder(settings).with_cached_listings(settings.account)
    windows = {
        window
        for table in ARCHIVE_TABLES
        for announced_by in FOLDED_TABLES
        for window in folder.lake_windows(announced_by.name, settings.account)
        if window >= window_of(settings.start_date)
        and find_backlog(folder, table, settings.account, window, now=now)
    }
    return list(group_into_ranges(sorted(windows), at_most=MAX_WINDOWS_PER_RUN))


def build_daily_archive(
    settings: Settings, job: dg.JobDefinition | dg.UnresolvedAssetJobDefinition, *, clock: Callable[[], datetime]
) -> dg.ScheduleDefinition:
    """Make `daily_archive`, which is off until somebody decides to keep what was said (DESIGN 14)."""

    @dg.schedule(
        name=settings.name("daily_archive"),
        job=job,
        cron_schedule=_write_cron(time((settings.sync_at.hour + 1) % 24, settings.sync_at.minute)),
        execution_timezone=settings.time_zone,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=(
            "Each day, an hour after the sync: bodies, attachments, faxes and recording files that are not "
            "verified yet. Off until you switch it on."
        ),
    )
    def daily_archive(context: dg.ScheduleEvaluationContext) -> Sequence[dg.RunRequest]:
        try:
            stretches = find_backlog_ranges(settings, clock())
        except WarehouseError as error:
            raise fail(error) from error
        return _request_runs(context, stretches, ARCHIVE, settings)

    return daily_archive


def find_audit_ranges(settings: Settings, now: datetime) -> list[list[StorageWindow]]:
    """List the windows that the weekly audit at `now` (aware UTC) asks for: stretches for one run each."""
    since = find_first_window(settings).start
    windows = list(windows_between(since, now))
    folder = open_folder(settings).with_cached_listings(settings.account)
    states = [read_states(folder, table, settings.account, windows) for table in FOLDED_TABLES]
    chosen = find_audits(states, since=since, now=now, at_most=WINDOWS_PER_AUDIT)
    return list(group_into_ranges(chosen, at_most=MAX_WINDOWS_PER_RUN))


def build_weekly_audit(
    settings: Settings, job: dg.JobDefinition | dg.UnresolvedAssetJobDefinition, *, clock: Callable[[], datetime]
) -> dg.ScheduleDefinition:
    """Make `weekly_audit`, which is on from the start: the only thing that asks for old windows again."""
    hour = (settings.sync_at.hour + _AUDIT_HOURS_AFTER_SYNC) % 24

    @dg.schedule(
        name=settings.name("weekly_audit"),
        job=job,
        cron_schedule=f"{settings.sync_at.minute} {hour} * * 0",
        execution_timezone=settings.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            f"Each Sunday: {WINDOWS_PER_AUDIT} windows asked for once more and proven in halves, those first that "
            "were proven never or the longest ago. So it goes round five years in five weeks."
        ),
    )
    def weekly_audit(context: dg.ScheduleEvaluationContext) -> Sequence[dg.RunRequest]:
        try:
            stretches = find_audit_ranges(settings, clock())
        except WarehouseError as error:
            raise fail(error) from error
        return _request_runs(context, stretches, AUDIT, settings)

    return weekly_audit


def _request_runs(
    context: dg.ScheduleEvaluationContext,
    stretches: Sequence[Sequence[StorageWindow]],
    job: AccountJob,
    settings: Settings,
) -> list[dg.RunRequest]:
    # Dagster wants a key on each where there are several; a tick that is repeated repeats its keys.
    tick = f"{context.scheduled_execution_time:%Y-%m-%dT%H:%M}"
    return [
        dg.RunRequest(
            run_key=f"{tick}/{stretch[0].key}",
            asset_selection=job.select(settings),
            tags={**tag_range(stretch), **job.tags_for(settings)},
        )
        for stretch in stretches
    ]


def _write_cron(at: time) -> str:
    return f"{at.minute} {at.hour} * * *"
