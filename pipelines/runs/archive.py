"""An archive run from start to end, run through Dagster and recorded in its history."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from pipelines.clock import Clock
from pipelines.dagster_home import open_instance
from pipelines.defs.build import build_definitions
from pipelines.defs.jobs import ARCHIVE
from pipelines.defs.schedules import find_backlog_ranges
from pipelines.runs.sync import choose_ranges, run_account_job, run_job
from pipelines.settings import Settings, check_account, check_credentials, choose_accounts
from pipelines.steps.progress import Progress
from pipelines.warehouse_folder import open_folder
from warehouse.outputs.query import run_query
from warehouse.snapshot.pointer import find_snapshot

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
) -> ArchiveReport:
    """Download what is not verified yet, publish, and return the result; `environ` holds the credentials.

    Without days, all of history; with them, the windows that overlap them (UTC; `until` excluded). Raises as
    `sync` does.
    """
    folder = open_folder(accounts[0])
    chosen = choose_accounts(accounts, only)
    for settings in chosen:
        check_credentials(environ, settings.secrets)
        check_account(settings, folder.accounts())
    now = clock()
    has_days = since is not None or until is not None
    ranges = [
        choose_ranges(settings, since=since, until=until, now=now) if has_days else find_backlog_ranges(settings, now)
        for settings in chosen
    ]
    report = ArchiveReport()
    definitions = build_definitions(*accounts, clock=clock, progress=progress)
    with open_instance(accounts[0]) as instance:
        for settings, account_ranges in zip(chosen, ranges, strict=True):
            for window_range in account_ranges:
                failures = run_account_job(definitions, ARCHIVE, settings, instance=instance, window_range=window_range)
                report.failures += failures
                if failures:
                    break
        if report.failures or accounts[0].is_one_of_many:
            report.failures += run_job(definitions, "publish", instance)
    if find_snapshot(folder) is not None:
        report.holdings = [tuple(row) for row in run_query(folder, _SUMMARY).rows]
        report.reasons = [tuple(row) for row in run_query(folder, _REASONS).rows]
    return report
