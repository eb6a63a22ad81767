"""A sync from start to end, through Dagster and recorded in its history: what `iplum sync` and the demo run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import dagster as dg

from iplum_resource.errors import AccountError
from pipelines.dagster_home import open_instance
from pipelines.defs.build import build_definitions
from pipelines.defs.failures import describe_failure, is_interruption
from pipelines.defs.jobs import DRAIN, SYNC, AccountJob
from pipelines.defs.partitions import MAX_WINDOWS_PER_RUN, tag_range
from pipelines.defs.schedules import find_due_ranges, find_first_window
from pipelines.settings import Settings, SettingsError, check_account, check_credentials
from pipelines.settings.accounts_file import choose_accounts
from pipelines.steps.audit_findings import NO_FINDINGS, AuditFindings
from pipelines.steps.progress import Progress
from pipelines.steps.pull_windows import WindowOutcome
from pipelines.warehouse_folder import has_inbox, open_folder
from warehouse.errors import StorageFailed
from warehouse.lake.due_windows import group_into_ranges
from warehouse.snapshot.database import count_rows
from warehouse.snapshot.pointer import find_snapshot
from warehouse.windows import StorageWindow, windows_between

# By this tag the page of a job in Dagster's UI finds its runs; what the UI or the daemon launches has it already.
_OF_THIS_LOCATION = {".dagster/repository": "__repository__@pipelines.definitions"}
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class DatasetTally:
    """What a sync did to one dataset: windows gone through, rows new and changed, windows that failed.

    `differences` is what an audit found.
    """

    windows: int = 0
    new: int = 0
    changed: int = 0
    failed: int = 0
    refused: bool = False
    differences: AuditFindings = NO_FINDINGS


@dataclass
class SyncReport:
    """What a sync did: a tally per dataset, the rows now published, and what went wrong, a line each."""

    datasets: dict[str, DatasetTally] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


class _Tallying:
    """Counts what a run does, and passes it on to whoever watches."""

    def __init__(self, report: SyncReport, progress: Progress) -> None:
        self.report = report
        self.final: Exception | None = None
        self._progress = progress

    def start(self, dataset: str, windows: int) -> None:
        self._progress.start(dataset, windows)

    def finish_window(self, dataset: str, outcome: WindowOutcome) -> None:
        tally = self.report.datasets.setdefault(dataset, DatasetTally())
        tally.windows += not outcome.again
        tally.failed += outcome.error is not None
        tally.refused |= outcome.refused
        tally.differences += outcome.differences
        if outcome.fold is not None:
            tally.new += outcome.fold.new
            tally.changed += outcome.fold.changed
        if isinstance(outcome.error, AccountError | StorageFailed):
            self.final = outcome.error
        self._progress.finish_window(dataset, outcome)

    def start_records(self, dataset: str, records: int) -> None:
        self._progress.start_records(dataset, records)

    def finish_record(self, dataset: str, size: int) -> None:
        self._progress.finish_record(dataset, size)


def choose_ranges(
    settings: Settings, *, since: date | None, until: date | None, now: datetime
) -> list[list[StorageWindow]]:
    """List the windows to sync, a stretch for each run, newest first; without days, what is due.

    `since` is included and `until` excluded (UTC days); windows that overlap the range are taken whole. Raises
    `SettingsError` for days that can't be synced.
    """
    if since is None and until is None:
        return find_due_ranges(settings, now)
    begin = max(settings.start_date, find_first_window(settings).first_day)
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
        raise SettingsError(f"--until {until} leaves nothing after --since {first}: it is excluded")
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
    clock: Callable[[], datetime],
) -> SyncReport:
    """Pull, fold and publish, and report; `environ` holds the credentials.

    Of many accounts, one after the other is pulled (or `only` the one of that name), and all are published in the
    end, as a history of many years is: what stops one leaves the others alone. Raises `SettingsError` before any
    request where the settings can't work, and `WarehouseError` where the data folder can't be used. What fails
    after that is in the report.
    """
    return run_pulls(
        *accounts,
        environ=environ,
        only=only,
        job=SYNC,
        choose=lambda settings: choose_ranges(settings, since=since, until=until, now=clock()),
        progress=progress,
        clock=clock,
    )


def run_pulls(
    *accounts: Settings,
    environ: Mapping[str, str],
    only: str | None,
    job: AccountJob,
    choose: Callable[[Settings], list[list[StorageWindow]]],
    progress: Progress,
    clock: Callable[[], datetime],
) -> SyncReport:
    """Run a job that pulls over the stretches that are chosen for each account, publish, and report as `sync`."""
    folder = open_folder(accounts[0])
    chosen = choose_accounts(accounts, only)
    for settings in chosen:
        check_credentials(environ, settings.secrets)
        check_account(settings, folder.accounts())
    stretches = [choose(settings) for settings in chosen]
    report = SyncReport()
    watcher = _Tallying(report, progress)
    definitions = build_definitions(*accounts, clock=clock, progress=watcher)
    with open_instance(accounts[0]) as instance:
        for settings, owed in zip(chosen, stretches, strict=True):
            if not isinstance(watcher.final, StorageFailed):
                report.failures += _pull_account(
                    settings, job, owed, definitions=definitions, instance=instance, watcher=watcher
                )
        if accounts[0].is_one_of_many:
            report.failures += run_job(definitions, "publish", instance)
    report.failures = list(dict.fromkeys(report.failures))
    snapshot = find_snapshot(folder)
    if snapshot is not None:
        report.rows = count_rows(snapshot)
    return report


def _pull_account(
    settings: Settings,
    job: AccountJob,
    stretches: Sequence[Sequence[StorageWindow]],
    *,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    watcher: _Tallying,
) -> list[str]:
    failures: list[str] = []
    failed: list[str] = []
    watcher.final = None
    for stretch in stretches:
        failed = run_account_job(
            definitions, job, settings, instance=instance, stretch=stretch, publishes=stretch is stretches[-1]
        )
        failures += failed
        if watcher.final is not None:
            # It stopped every dataset, and would stop every further stretch, for the same reason.
            break
    if failed and not settings.is_one_of_many:
        failures += run_job(definitions, "publish", instance)
    if watcher.final is not None:
        failures = [str(watcher.final)]
    if not stretches and has_inbox(settings, open_folder(settings)):
        failures += run_account_job(definitions, DRAIN, settings, instance=instance)
    return [f"{settings.account}: {failure}" for failure in failures] if settings.is_one_of_many else failures


def run_account_job(
    definitions: dg.Definitions,
    job: AccountJob,
    settings: Settings,
    *,
    instance: dg.DagsterInstance,
    stretch: Sequence[StorageWindow] = (),
    publishes: bool = True,
) -> list[str]:
    """Run a job of one account over a stretch of windows, as `run_job` does.

    Without `publishes`, what it brings is left to the publishing of a later run.
    """
    tags = {**(tag_range(stretch) if stretch else {}), **job.tags_for(settings)}
    selection = job.select(settings) if publishes else job.list_keys(settings)
    return run_job(definitions, job.name_for(settings), instance, tags=tags, selection=selection)


def run_job(
    definitions: dg.Definitions,
    name: str,
    instance: dg.DagsterInstance,
    *,
    tags: Mapping[str, str] | None = None,
    selection: Sequence[dg.AssetKey] | None = None,
) -> list[str]:
    """Run a job in this process, recorded in Dagster's history; gives what failed, a line for each step.

    `selection` holds the run to some of the job's assets.
    """
    # Dagster's own log goes to its history; on a terminal it would drown the progress.
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    result = definitions.resolve_job_def(name).execute_in_process(
        instance=instance,
        asset_selection=selection,
        tags={**_OF_THIS_LOCATION, **(tags or {})},
        run_config=_QUIET,
        raise_on_error=False,
    )
    failed = [event for event in result.all_events if event.is_step_failure]
    if any(map(is_interruption, failed)):
        # Dagster makes a failed step of it; going on with the next run is not what was asked for.
        raise KeyboardInterrupt
    return [describe_failure(event) for event in failed]
