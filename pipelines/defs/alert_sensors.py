"""When somebody must be told: a run that failed, and data that are no longer new."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import dagster as dg

from pipelines.alerts import Alert, AlertFailed, describe_run, send_alert
from pipelines.defs.failures import describe_failure, fail
from pipelines.defs.jobs import ACCOUNT_TAG
from pipelines.defs.partitions import describe_range
from pipelines.settings import Settings
from pipelines.warehouse_folder import open_folder
from warehouse.errors import WarehouseError
from warehouse.lake.due_windows import find_latest_pull
from warehouse.schema.tables import USAGE

#: What sensors start again after a failure would else be told each time.
_TOLD_ONCE_IN = timedelta(hours=20)
_RUNS_LOOKED_AT = 500
_TOLD_TAG = "iplum/alerted"
_NOBODY = "nobody to tell: neither IPLUM_ALERT_WEBHOOK nor IPLUM_ALERT_SMTP is set"


def build_failure_alert(accounts: Sequence[Settings], *, clock: Callable[[], datetime]) -> dg.SensorDefinition:
    """Make `failure_alert`: one message for each run that failed, off while there is nobody to tell.

    A job that goes on failing on the same windows is told once in 20 hours, until it succeeds.
    """
    settings = accounts[0]

    @dg.run_failure_sensor(
        name="failure_alert",
        minimum_interval_seconds=30,
        default_status=_choose_status(settings),
        description="Tells the webhook or mailbox of each run that failed: which windows, and why.",
    )
    def failure_alert(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        run = context.dagster_run
        if not settings.alerts.is_on:
            return dg.SkipReason(_NOBODY)
        if _was_told(context.instance, run, since=clock() - _TOLD_ONCE_IN):
            return dg.SkipReason("this job failed on the same windows before, and that was told")
        failures = [describe_failure(event) for event in context.get_step_failure_events()]
        _send(describe_run(run.job_name, _locate(run), failures, settings), settings)
        context.instance.add_run_tags(run.run_id, {_TOLD_TAG: "true"})
        return None

    return failure_alert


def build_freshness_alert(accounts: Sequence[Settings], *, clock: Callable[[], datetime]) -> dg.SensorDefinition:
    """Make `freshness_alert`: a message once an account's data are older than IPLUM_ALERT_AFTER_HOURS."""
    settings = accounts[0]

    @dg.sensor(
        name="freshness_alert",
        minimum_interval_seconds=600,
        default_status=_choose_status(settings),
        description="Tells the webhook or mailbox, once, of data older than IPLUM_ALERT_AFTER_HOURS.",
    )
    def freshness_alert(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if not settings.alerts.is_on:
            return dg.SkipReason(_NOBODY)
        try:
            stale = dict(_find_stale(accounts, now=clock()))
        except WarehouseError as error:
            raise fail(error) from error
        told = set((context.cursor or "").split(","))
        if stale.keys() - told:
            _send(_describe_staleness(stale), settings)
        context.update_cursor(",".join(sorted(stale)))
        if not stale:
            return dg.SkipReason("the data are new enough")
        return dg.SkipReason(f"told that the data of {', '.join(sorted(stale))} are old")

    return freshness_alert


def _find_stale(accounts: Sequence[Settings], *, now: datetime) -> Iterator[tuple[str, datetime]]:
    """Go through the accounts that were pulled once, and not since; where nothing came yet, a run says why."""
    for settings in accounts:
        reach = find_latest_pull(open_folder(settings), USAGE, settings.account)
        if reach is not None and now - reach > settings.alerts.after:
            yield settings.account, reach


def _describe_staleness(stale: Mapping[str, datetime]) -> Alert:
    lines = [
        f"account {account}: nothing newer than {reach:%Y-%m-%d %H:%M} UTC" for account, reach in stale.items()
    ]
    remedy = "No sync has brought the newest window since then. 'iplum doctor' says what is in the way."
    return Alert("iPlum warehouse: the data are old", "\n".join([*lines, remedy]))


def _send(alert: Alert, settings: Settings) -> None:
    try:
        send_alert(alert, settings.alerts)
    except AlertFailed as error:
        raise fail(error) from None


def _was_told(instance: dg.DagsterInstance, run: dg.DagsterRun, *, since: datetime) -> bool:
    """Say whether the same job on the same windows failed before, was told, and hasn't succeeded since."""
    recent = dg.RunsFilter(
        job_name=run.job_name,
        created_after=since,
        statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS],
    )
    for record in instance.get_run_records(recent, limit=_RUNS_LOOKED_AT):
        other = record.dagster_run
        if other.run_id == run.run_id or _locate(other) != _locate(run):
            continue
        if other.status == dg.DagsterRunStatus.SUCCESS or _TOLD_TAG in other.tags:
            return other.status == dg.DagsterRunStatus.FAILURE
    return False


def _locate(run: dg.DagsterRun) -> str:
    """Say whose windows a run went through, and which."""
    account = run.tags.get(ACCOUNT_TAG, "")
    return ", ".join(part for part in (f"account {account}" if account else "", describe_range(run.tags)) if part)


def _choose_status(settings: Settings) -> dg.DefaultSensorStatus:
    return dg.DefaultSensorStatus.RUNNING if settings.alerts.is_on else dg.DefaultSensorStatus.STOPPED
