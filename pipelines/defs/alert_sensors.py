"""Sensors that send alerts: for failed runs, findings of an audit, data that is out of date, and damaged data."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import dagster as dg

from pipelines.alerts import Alert, AlertFailed, describe_damages, describe_findings, describe_run, send_alert
from pipelines.clock import Clock
from pipelines.defs.failures import describe_failure, failing_step
from pipelines.defs.jobs import ACCOUNT_TAG
from pipelines.defs.partitions import FINDINGS_TAG, describe_range
from pipelines.settings import Settings
from pipelines.warehouse_folder import open_folder
from warehouse.checks.data_problems import find_problems
from warehouse.lake.due_windows import find_latest_pull
from warehouse.schema.tables import USAGE

#: Sensors restart failed jobs; without this pause, each failure would send an alert.
_REPEAT_AFTER = timedelta(hours=20)
_MAX_RUNS = 500
_ALERTED_TAG = "iplum/alerted"
_NO_RECIPIENT = "no recipient: neither IPLUM_ALERT_WEBHOOK nor IPLUM_ALERT_SMTP is set"


def build_failure_alert(accounts: Sequence[Settings], *, clock: Clock) -> dg.SensorDefinition:
    """Build `failure_alert`: one alert per failed run, off without a recipient.

    A job that keeps failing on the same windows is alerted once in 20 hours, until it succeeds.
    """
    settings = accounts[0]

    @dg.run_failure_sensor(
        name="failure_alert",
        minimum_interval_seconds=30,
        default_status=_choose_status(settings),
        description="Sends an alert for each failed run: which windows, and why.",
    )
    def failure_alert(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        run = context.dagster_run
        if not settings.alerts.is_on:
            return dg.SkipReason(_NO_RECIPIENT)
        if run.status == dg.DagsterRunStatus.CANCELED:
            return dg.SkipReason("the run was stopped by Ctrl-C or SIGTERM")
        if _was_alerted(context.instance, run, since=clock() - _REPEAT_AFTER):
            return dg.SkipReason("this failure was alerted before")
        failures = [describe_failure(event) for event in context.get_step_failure_events()]
        failures += [f"the audit of {dataset} found: {found}" for dataset, found in _read_findings(run).items()]
        with failing_step(AlertFailed):
            send_alert(describe_run(run.job_name, _describe_windows(run), failures, settings), settings.alerts)
        context.instance.add_run_tags(run.run_id, {_ALERTED_TAG: "true"})
        return None

    return failure_alert


def build_audit_alert(accounts: Sequence[Settings]) -> dg.SensorDefinition:
    """Build `audit_alert`: one alert per audit that found differences, off without a recipient."""
    settings = accounts[0]

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="audit_alert",
        minimum_interval_seconds=30,
        default_status=_choose_status(settings),
        description="Sends an alert for each audit that found differences between iPlum and the warehouse.",
    )
    def audit_alert(context: dg.RunStatusSensorContext) -> dg.SkipReason | None:
        findings = _read_findings(context.dagster_run)
        if not findings:
            return dg.SkipReason("not an audit, or one without findings")
        if not settings.alerts.is_on:
            return dg.SkipReason(_NO_RECIPIENT)
        with failing_step(AlertFailed):
            send_alert(describe_findings(_describe_windows(context.dagster_run), findings, settings), settings.alerts)
        return None

    return audit_alert


def _read_findings(run: dg.DagsterRun) -> dict[str, str]:
    """Return what an audit found, by dataset."""
    return {name.removeprefix(FINDINGS_TAG): found for name, found in run.tags.items() if name.startswith(FINDINGS_TAG)}


def build_freshness_alert(accounts: Sequence[Settings], *, clock: Clock) -> dg.SensorDefinition:
    """Build `freshness_alert`: one alert when an account's data is older than IPLUM_ALERT_AFTER_HOURS."""
    settings = accounts[0]

    @dg.sensor(
        name="freshness_alert",
        minimum_interval_seconds=600,
        default_status=_choose_status(settings),
        description="Sends one alert when data is older than IPLUM_ALERT_AFTER_HOURS.",
    )
    def freshness_alert(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if not settings.alerts.is_on:
            return dg.SkipReason(_NO_RECIPIENT)
        with failing_step():
            stale = dict(_find_stale(accounts, now=clock()))
        alerted = set((context.cursor or "").split(","))
        if stale.keys() - alerted:
            with failing_step(AlertFailed):
                send_alert(_describe_staleness(stale), settings.alerts)
        context.update_cursor(",".join(sorted(stale)))
        if not stale:
            return dg.SkipReason("the data is up to date")
        return dg.SkipReason(f"alert sent: the data of {', '.join(sorted(stale))} is out of date")

    return freshness_alert


def build_data_alert(accounts: Sequence[Settings]) -> dg.SensorDefinition:
    """Build `data_alert`: one alert when records cannot be read, or have several rows."""
    settings = accounts[0]

    @dg.sensor(
        name="data_alert",
        minimum_interval_seconds=3600,
        default_status=_choose_status(settings),
        description="Sends one alert when records of a window cannot be read, or have several rows.",
    )
    def data_alert(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if not settings.alerts.is_on:
            return dg.SkipReason(_NO_RECIPIENT)
        with failing_step():
            damages = [str(problem) for problem in find_problems(open_folder(settings)) if problem.is_damage]
        alerted = (context.cursor or "").split("\n")
        if set(damages) - set(alerted):
            with failing_step(AlertFailed):
                send_alert(describe_damages(damages), settings.alerts)
        context.update_cursor("\n".join(damages))
        return dg.SkipReason(f"{len(damages)} problems, alerted" if damages else "every record can be read")

    return data_alert


def _find_stale(accounts: Sequence[Settings], *, now: datetime) -> Iterator[tuple[str, datetime]]:
    """Yield the accounts with a pull that is too old. Accounts without data are reported by their failing runs."""
    for settings in accounts:
        latest = find_latest_pull(open_folder(settings), USAGE, settings.account, now=now)
        if latest is not None and now - latest > settings.alerts.after:
            yield settings.account, latest


def _describe_staleness(stale: Mapping[str, datetime]) -> Alert:
    lines = [f"account {account}: no data after {latest:%Y-%m-%d %H:%M} UTC" for account, latest in stale.items()]
    fix = "No sync has completed the newest window since. Run 'iplum doctor' to find the cause."
    return Alert("iPlum warehouse: data is out of date", "\n".join([*lines, fix]))


def _was_alerted(instance: dg.DagsterInstance, run: dg.DagsterRun, *, since: datetime) -> bool:
    """Whether the same job failed on the same windows, was alerted, and has not succeeded since."""
    recent = dg.RunsFilter(
        job_name=run.job_name, created_after=since, statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]
    )
    for record in instance.get_run_records(recent, limit=_MAX_RUNS):
        other = record.dagster_run
        if other.run_id == run.run_id or _describe_windows(other) != _describe_windows(run):
            continue
        if other.status == dg.DagsterRunStatus.SUCCESS or _ALERTED_TAG in other.tags:
            return other.status == dg.DagsterRunStatus.FAILURE
    return False


def _describe_windows(run: dg.DagsterRun) -> str:
    """Describe the account and windows of a run."""
    account = run.tags.get(ACCOUNT_TAG, "")
    return ", ".join(part for part in (f"account {account}" if account else "", describe_range(run.tags)) if part)


def _choose_status(settings: Settings) -> dg.DefaultSensorStatus:
    return dg.DefaultSensorStatus.RUNNING if settings.alerts.is_on else dg.DefaultSensorStatus.STOPPED
