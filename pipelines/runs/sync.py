"""A sync from start to end, run through Dagster and recorded in its history."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

import dagster as dg

from iplum_resource.errors import AccountError
from pipelines.clock import Clock
from pipelines.dagster_home import open_instance
from pipelines.defs.build import build_definitions
from pipelines.defs.jobs import AUDIT, DRAIN, SYNC, AccountJob
from pipelines.defs.partitions import MAX_WINDOWS_PER_RUN
from pipelines.defs.schedules import find_due_ranges, find_first_window
from pipelines.runs.account_jobs import prefix_account, run_account_job, run_job
from pipelines.settings import Settings, SettingsError, check_credentials, check_proxy, choose_accounts
from pipelines.steps.audit_windows import NO_FINDINGS, AuditFindings
from pipelines.steps.progress import Progress
from pipelines.steps.pull_windows import WindowOutcome
from pipelines.warehouse_folder import check_folder, has_inbox, open_folder
from warehouse.checks.data_problems import DataProblem, find_problems
from warehouse.errors import StorageFailed
from warehouse.lake.due_windows import group_into_ranges
from warehouse.retention.skipped_windows import describe_skipped_windows
from warehouse.snapshot.database import count_rows
from warehouse.snapshot.pointer import find_snapshot
from warehouse.windows import StorageWindow, window_of, windows_between


@dataclass
class DatasetTally:
    """Counts of a sync for one dataset: windows, new and changed rows, failed windows; and an audit's findings.

    `unreadable` counts records without an ID, `conflicts` IDs with different payloads in one response.
    """

    windows: int = 0
    new: int = 0
    changed: int = 0
    failed: int = 0
    unreadable: int = 0
    conflicts: int = 0
    refused: bool = False
    findings: AuditFindings = NO_FINDINGS


@dataclass
class SyncReport:
    """The result of a sync: counts per dataset, published rows, one line per failure, data problems, and notes."""

    datasets: dict[str, DatasetTally] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    problems: list[DataProblem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class _TallyingProgress(Progress):
    """Counts the outcomes of a run without records to download, and passes them on."""

    def __init__(self, report: SyncReport, progress: Progress) -> None:
        self.report = report
        self.fatal: Exception | None = None
        self._progress = progress

    def start(self, dataset: str, total: int, unit: Literal["windows", "records"] = "windows") -> None:
        self._progress.start(dataset, total, unit)

    def finish_window(self, dataset: str, outcome: WindowOutcome) -> None:
        tally = self.report.datasets.setdefault(dataset, DatasetTally())
        tally.windows += not outcome.again
        tally.failed += outcome.error is not None
        tally.refused |= outcome.refused
        tally.findings += outcome.findings
        if outcome.fold is not None:
            tally.new += outcome.fold.new
            tally.changed += outcome.fold.changed
            tally.unreadable += outcome.fold.state.unreadable
            tally.conflicts += outcome.fold.state.conflicts
        if isinstance(outcome.error, AccountError | StorageFailed):
            self.fatal = outcome.error
        self._progress.finish_window(dataset, outcome)


def choose_ranges(
    settings: Settings, *, since: date | None, until: date | None, now: datetime
) -> list[list[StorageWindow]]:
    """List the windows to sync as one range per run, newest first. The default is the due windows.

    `since` is included and `until` excluded (UTC days); windows that overlap the range are synced whole. Raises
    `SettingsError` for days that cannot be synced.
    """
    if since is None and until is None:
        return find_due_ranges(settings, now)
    begin = max(settings.start_date, find_first_window(settings, now).first_day)
    first = since or begin
    if settings.is_one_of_many or first == settings.start_date:
        first = max(first, begin)
    if settings.start_date <= first < begin:
        raise SettingsError(f"--since {first}: everything before {begin} was deleted by 'iplum retention'")
    if first < settings.start_date:
        raise SettingsError(f"--since {first} is before IPLUM_START_DATE ({settings.start_date})")
    if first > now.date():
        raise SettingsError(f"--since {first} is in the future (it is {now:%Y-%m-%d} in UTC)")
    if until is not None and until <= first:
        raise SettingsError(f"--until {until} must be after --since {first}: it is excluded")
    end = now + timedelta(microseconds=1)
    if until is not None:
        end = min(end, datetime.combine(until, time(), UTC))
    windows = list(windows_between(datetime.combine(first, time(), UTC), end))
    return list(group_into_ranges(windows, at_most=MAX_WINDOWS_PER_RUN))


def sync(
    *accounts: Settings,
    environ: Mapping[str, str],
    only: str | None = None,
    since: date | None = None,
    until: date | None = None,
    progress: Progress,
    clock: Clock,
    job: AccountJob = SYNC,
    instance: dg.DagsterInstance | None = None,
    publishes: bool = True,
) -> SyncReport:
    """Pull, fold and publish, and return the result; `environ` holds the credentials.

    Several accounts (or the one named `only`) are pulled one after the other and published together; the failure
    of one does not stop the others. Failures of a run are in the result. With the job `AUDIT`, windows are requested
    again, whole and in halves, and the differences are in the result. The default is all of history.

    `instance` records the runs; by default, the data folder's history does. If `publishes` is false, the snapshot and
    the report are left to a later publish.

    Raises `SettingsError` before any request, and `WarehouseError` if the data folder cannot be used.
    """
    folder = open_folder(accounts[0])
    chosen = choose_accounts(accounts, only)
    for settings in chosen:
        check_credentials(environ, settings.secrets)
        check_proxy(environ, settings.base_url)
        check_folder(settings, folder)
    ranges = []
    for settings in chosen:
        first = settings.start_date if job is AUDIT and since is None else since
        ranges.append(choose_ranges(settings, since=first, until=until, now=clock()))
    report = SyncReport()
    tally = _TallyingProgress(report, progress)
    definitions = build_definitions(*accounts, clock=clock, progress=tally)
    with nullcontext(instance) if instance else open_instance(accounts[0]) as history:
        for settings, account_ranges in zip(chosen, ranges, strict=True):
            if not isinstance(tally.fatal, StorageFailed):
                report.failures += _pull_account(
                    settings,
                    job,
                    account_ranges,
                    definitions=definitions,
                    instance=history,
                    tally=tally,
                    publishes=publishes,
                )
        if publishes and accounts[0].is_one_of_many:
            report.failures += run_job(definitions, "publish", history)
    report.failures = list(dict.fromkeys(report.failures))
    snapshot = find_snapshot(folder)
    if snapshot is not None:
        report.rows = count_rows(snapshot)
    report.problems = find_problems(folder, {settings.account for settings in chosen})
    for settings in chosen:
        skipped = describe_skipped_windows(folder, settings.account, first=window_of(settings.start_date))
        report.notes += [] if skipped is None else [skipped]
    return report


def _pull_account(
    settings: Settings,
    job: AccountJob,
    ranges: Sequence[Sequence[StorageWindow]],
    *,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    tally: _TallyingProgress,
    publishes: bool,
) -> list[str]:
    failures: list[str] = []
    failed: list[str] = []
    tally.fatal = None
    for window_range in ranges:
        is_last = window_range is ranges[-1]
        failed = run_account_job(
            definitions, job, settings, instance=instance, window_range=window_range, publishes=publishes and is_last
        )
        failures += failed
        if tally.fatal is not None:
            # It stopped every dataset, and would stop every further range.
            break
    if publishes and failed and not settings.is_one_of_many:
        failures += run_job(definitions, "publish", instance)
    if tally.fatal is not None:
        failures = prefix_account(settings, [str(tally.fatal)])
    if not ranges and has_inbox(settings, open_folder(settings)):
        failures += run_account_job(definitions, DRAIN, settings, instance=instance)
    return failures
