"""Schedules: the daily sync, the daily archive and the weekly audit, with the windows of each."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial

import dagster as dg

from pipelines.clock import Clock
from pipelines.defs.failures import failing_step
from pipelines.defs.jobs import ARCHIVE, AUDIT, SYNC, AccountJob
from pipelines.defs.partitions import MAX_WINDOWS_PER_RUN, build_range_tags
from pipelines.settings import Settings
from pipelines.warehouse_folder import open_folder
from warehouse.archive.backlog import find_backlog
from warehouse.lake.due_windows import find_audits, find_due, group_into_ranges, read_states
from warehouse.retention.skipped_windows import check_effective_record
from warehouse.schema.tables import FOLDED_TABLES, TABLES_WITH_ARCHIVE, USAGE
from warehouse.windows import StorageWindow, window_of, windows_between

#: About a year: five minutes at five requests per second.
WINDOWS_PER_AUDIT = 80
_AUDIT_HOURS_AFTER_SYNC = 3
_SEAL_HOURS_AFTER_SYNC = 4


def find_first_window(settings: Settings, now: datetime) -> StorageWindow:
    """Return the first window of an account: that of its start date, or the first one not deleted.

    `now` is aware UTC. Raises `RecordUnreadable` and `RecordContradicted` for an unusable deletion record.
    """
    lookback = timedelta(days=settings.lookback_days)
    record = check_effective_record(open_folder(settings), settings.account, now=now, lookback=lookback)
    start = window_of(settings.start_date)
    return start if record is None else max(start, record.first_kept)


def find_due_ranges(settings: Settings, now: datetime) -> list[list[StorageWindow]]:
    """List the due windows at `now` (aware UTC) as one range per run, newest first.

    A window is due if usage or recordings are: without a complete pull of a usage type, or in the look-back. Deleted
    windows are not. Raises as `find_first_window` does.
    """
    since = find_first_window(settings, now).start
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
            usage_types=settings.usage_types if table is USAGE else (),
        )
    }
    return list(group_into_ranges(sorted(due), at_most=MAX_WINDOWS_PER_RUN))


def count_backlog(settings: Settings, now: datetime) -> dict[StorageWindow, int]:
    """Count the records to download at `now` (aware UTC), by window; each lake file is read once."""
    folder = open_folder(settings).with_cached_listings(settings.account)
    first = window_of(settings.start_date)
    counts: Counter[StorageWindow] = Counter()
    for source, table in TABLES_WITH_ARCHIVE:
        for window in folder.lake_windows(source.name, settings.account):
            if window >= first:
                counts[window] += len(find_backlog(folder, table, settings.account, window, now=now))
    return {window: records for window, records in counts.items() if records}


def find_backlog_ranges(settings: Settings, now: datetime) -> list[list[StorageWindow]]:
    """List the windows with something to download at `now` (aware UTC) as one range per run, newest first."""
    return list(group_into_ranges(sorted(count_backlog(settings, now)), at_most=MAX_WINDOWS_PER_RUN))


def find_audit_ranges(settings: Settings, now: datetime) -> list[list[StorageWindow]]:
    """List the windows of the weekly audit at `now` (aware UTC) as one range per run."""
    since = find_first_window(settings, now).start
    windows = list(windows_between(since, now))
    folder = open_folder(settings).with_cached_listings(settings.account)
    states = [read_states(folder, table, settings.account, windows) for table in FOLDED_TABLES]
    chosen = find_audits(states, since=since, now=now, at_most=WINDOWS_PER_AUDIT)
    return list(group_into_ranges(chosen, at_most=MAX_WINDOWS_PER_RUN))


def build_schedules(
    settings: Settings, jobs: Mapping[str, "dg.UnresolvedAssetJobDefinition"], *, clock: Clock
) -> list[dg.ScheduleDefinition]:
    """Build an account's schedules. `daily_archive` is off by default (docs/design.md, "Privacy").

    Dagster does not run missed ticks later; their windows remain due. Only `weekly_audit` requests old windows again.
    """
    hour, minute = settings.sync_at.hour, settings.sync_at.minute

    build = partial(_build_schedule, settings, jobs, clock)
    return [
        build(
            "daily_sync",
            SYNC,
            find_due_ranges,
            f"{minute} {hour} * * *",
            "Daily: the open window, the look-back, and every gap since IPLUM_START_DATE, in runs of about a year "
            "at most, newest first.",
        ),
        build(
            "daily_archive",
            ARCHIVE,
            find_backlog_ranges,
            f"{minute} {(hour + 1) % 24} * * *",
            "Daily, an hour after the sync: downloads message texts, attachments, faxes and recordings that are not "
            "verified yet. Off until you turn it on.",
            dg.DefaultScheduleStatus.STOPPED,
        ),
        build(
            "weekly_audit",
            AUDIT,
            find_audit_ranges,
            f"{minute} {(hour + _AUDIT_HOURS_AFTER_SYNC) % 24} * * 0",
            f"Every Sunday: requests {WINDOWS_PER_AUDIT} windows again with a split check, starting with those never "
            "audited or audited longest ago. Five years take five weeks.",
        ),
    ]


def build_seal_schedule(settings: Settings, job: "dg.UnresolvedAssetJobDefinition") -> dg.ScheduleDefinition:
    """Build `daily_seal`, for all accounts: they share the data folder."""
    return dg.ScheduleDefinition(
        name="daily_seal",
        job=job,
        cron_schedule=f"{settings.sync_at.minute} {(settings.sync_at.hour + _SEAL_HOURS_AFTER_SYNC) % 24} * * *",
        execution_timezone=settings.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Daily, after the sync and the archive: adds an entry to the evidence chain.",
    )


def _build_schedule(
    settings: Settings,
    jobs: Mapping[str, "dg.UnresolvedAssetJobDefinition"],
    clock: Clock,
    name: str,
    job: AccountJob,
    find_ranges: Callable[[Settings, datetime], list[list[StorageWindow]]],
    cron: str,
    description: str,
    status: dg.DefaultScheduleStatus = dg.DefaultScheduleStatus.RUNNING,
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=settings.name(name),
        job=jobs[job.name_for(settings)],
        cron_schedule=cron,
        execution_timezone=settings.time_zone,
        default_status=status,
        description=description,
    )
    def request_runs(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        with failing_step():
            ranges = find_ranges(settings, clock())
        # Dagster requires keys for several requests; a repeated tick has the same keys.
        tick = f"{context.scheduled_execution_time:%Y-%m-%dT%H:%M}"
        return [
            dg.RunRequest(
                run_key=f"{tick}/{window_range[0].key}",
                asset_selection=job.select(settings),
                tags={**build_range_tags(window_range), **job.tags_for(settings)},
            )
            for window_range in ranges
        ]

    return request_runs
