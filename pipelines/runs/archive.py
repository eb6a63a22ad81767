"""An archive run from start to end, through Dagster and recorded in its history: what `iplum archive` runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import dagster as dg

from pipelines.dagster_home import open_instance
from pipelines.defs.build import build_definitions
from pipelines.defs.jobs import ARCHIVE
from pipelines.defs.schedules import find_backlog_ranges
from pipelines.runs.sync import choose_ranges, run_account_job, run_job
from pipelines.settings import Settings, check_account, check_credentials
from pipelines.settings.accounts_file import choose_accounts
from pipelines.steps.progress import Progress
from pipelines.warehouse_folder import open_folder
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


@dataclass
class ArchiveReport:
    """What the archive holds after a run, as (table, status, records, bytes), and what went wrong, a line each."""

    holdings: list[tuple[str, str, int, int]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def archive(
    *accounts: Settings,
    environ: Mapping[str, str],
    only: str | None = None,
    since: date | None = None,
    until: date | None = None,
    progress: Progress,
    clock: Callable[[], datetime],
) -> ArchiveReport:
    """Fetch what is not verified yet, publish, and report; `environ` holds the credentials.

    Without days, all of history; with them, the windows that overlap them (UTC; `until` excluded). Raises
    `SettingsError` before any request where the settings can't work, and `WarehouseError` where the data folder
    can't be used. What fails after that is in the report.
    """
    folder = open_folder(accounts[0])
    chosen = choose_accounts(accounts, only)
    for settings in chosen:
        check_credentials(environ, settings.secrets)
        check_account(settings, folder.accounts())
    now = clock()
    bounded = since is not None or until is not None
    stretches = [
        choose_ranges(settings, since=since, until=until, now=now)
        if bounded
        else find_backlog_ranges(settings, now)
        for settings in chosen
    ]
    report = ArchiveReport()
    definitions = build_definitions(*accounts, clock=clock, progress=progress)
    with open_instance(accounts[0]) as instance:
        for settings, wanted in zip(chosen, stretches, strict=True):
            report.failures += _archive_account(settings, wanted, definitions, instance)
        if report.failures or accounts[0].is_one_of_many:
            report.failures += run_job(definitions, "publish", instance)
    if find_snapshot(folder) is not None:
        report.holdings = [tuple(row) for row in run_query(folder, _SUMMARY).rows]
    return report


def _archive_account(
    settings: Settings,
    stretches: Sequence[Sequence[StorageWindow]],
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
) -> list[str]:
    for stretch in stretches:
        failures = run_account_job(definitions, ARCHIVE, settings, instance=instance, stretch=stretch)
        if failures:
            return (
                [f"{settings.account}: {failure}" for failure in failures] if settings.is_one_of_many else failures
            )
    return []
