"""An archive run from start to end, run through Dagster and recorded in its history."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import date, timedelta

import dagster as dg

from pipelines.clock import Clock
from pipelines.dagster_home import open_instance
from pipelines.defs.build import build_definitions
from pipelines.defs.jobs import ARCHIVE
from pipelines.defs.partitions import MAX_WINDOWS_PER_RUN
from pipelines.defs.schedules import count_backlog
from pipelines.runs.account_jobs import run_account_job, run_job
from pipelines.runs.sync import choose_ranges
from pipelines.settings import Settings, check_credentials, check_proxy, choose_accounts
from pipelines.steps.progress import Progress
from pipelines.warehouse_folder import check_folder, open_folder
from warehouse.lake.due_windows import group_into_ranges
from warehouse.outputs.query import run_query
from warehouse.snapshot.pointer import find_snapshot
from warehouse.windows import StorageWindow

_SUMMARY = """
SELECT 'contents' AS table_name, status, count(*) AS records, coalesce(sum(bytes), 0) AS bytes
FROM contents
GROUP BY ALL
UNION ALL
SELECT 'recording_files', status, count(*), coalesce(sum(bytes), 0)
FROM recording_files
GROUP BY ALL
ORDER BY table_name, status DESC
"""
_REASONS = """
SELECT table_name, error, count(*) AS records
FROM (
    SELECT 'contents' AS table_name, status, error FROM contents
    UNION ALL
    SELECT 'recording_files', status, error FROM recording_files
)
WHERE status IN ('failed', 'gone')
GROUP BY ALL
ORDER BY records DESC, table_name, error
LIMIT 5
"""


@dataclass
class ArchiveReport:
    """The archive after a run, as (table, status, records, bytes), and one line per failure.

    `reasons` are the five most frequent ones why records have no file or body, as (table, reason, records).
    """

    holdings: list[tuple[str, str, int, int]] = field(default_factory=list)
    reasons: list[tuple[str, str, int]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def archive(
    *accounts: Settings,
    environ: Mapping[str, str],
    only: str | None = None,
    since: date | None = None,
    until: date | None = None,
    progress: Progress,
    clock: Clock,
    on_start: Callable[[int, timedelta], None] = lambda _records, _duration: None,
    instance: dg.DagsterInstance | None = None,
    publishes: bool = True,
) -> ArchiveReport:
    """Download all contents that are not verified yet, publish, and return the result; `environ` holds the credentials.

    `since` and `until` limit it to the windows that overlap these days (UTC; `until` excluded); the default is all of
    history. `on_start` receives the number of records and the shortest possible duration before the first request.
    `instance` and `publishes` are those of `sync`. Raises as `sync` does.
    """
    folder = open_folder(accounts[0])
    chosen = choose_accounts(accounts, only)
    for settings in chosen:
        check_credentials(environ, settings.secrets)
        check_proxy(environ, settings.base_url)
        check_folder(settings, folder)
    now = clock()
    has_days = since is not None or until is not None
    backlogs = [count_backlog(settings, now) for settings in chosen]
    ranges = [
        choose_ranges(settings, since=since, until=until, now=now)
        if has_days
        else list(group_into_ranges(sorted(backlog), at_most=MAX_WINDOWS_PER_RUN))
        for settings, backlog in zip(chosen, backlogs, strict=True)
    ]
    _announce(chosen, backlogs, ranges, on_start)
    report = ArchiveReport()
    definitions = build_definitions(*accounts, clock=clock, progress=progress)
    with nullcontext(instance) if instance else open_instance(accounts[0]) as history:
        for settings, account_ranges in zip(chosen, ranges, strict=True):
            for window_range in account_ranges:
                failures = run_account_job(
                    definitions, ARCHIVE, settings, instance=history, window_range=window_range, publishes=publishes
                )
                report.failures += failures
                if failures:
                    break
        if publishes and (report.failures or accounts[0].is_one_of_many):
            report.failures += run_job(definitions, "publish", history)
    if find_snapshot(folder) is not None:
        report.holdings = [tuple(row) for row in run_query(folder, _SUMMARY).rows]
        report.reasons = [tuple(row) for row in run_query(folder, _REASONS).rows]
    return report


def _announce(
    accounts: Sequence[Settings],
    backlogs: Sequence[Mapping[StorageWindow, int]],
    ranges: Sequence[Sequence[Sequence[StorageWindow]]],
    on_start: Callable[[int, timedelta], None],
) -> None:
    """Report the records of the chosen windows; each needs at least one request, and accounts follow each other."""
    records, seconds = 0, 0.0
    for settings, backlog, account_ranges in zip(accounts, backlogs, ranges, strict=True):
        due = sum(backlog.get(window, 0) for window_range in account_ranges for window in window_range)
        records += due
        seconds += due / settings.requests_per_second
    on_start(records, timedelta(seconds=seconds))
