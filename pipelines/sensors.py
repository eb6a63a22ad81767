"""What is started by a change rather than by the clock.

Belongs here: what is looked at, and the run that follows. Does not belong here: the run's work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import dagster as dg

from pipelines.failures import fail
from pipelines.instance import forget_run
from pipelines.settings import Settings
from pipelines.storage import choose_marts, has_inbox, open_folder, open_inbox
from warehouse.errors import WarehouseError
from warehouse.publish import is_behind

_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
# A run that was killed stays "started" in Dagster's history for good, and must not hold this up for as long.
_PATIENCE = timedelta(hours=1)
# The runs of many accounts don't publish themselves; while they follow each other, what they bring is published
# this often. One that was killed then costs no more than the pause.
_PATIENCE_WITH_MANY = timedelta(days=1)
_PAUSE_WITH_MANY = timedelta(minutes=15)
# Draining beside another run does no harm, so a killed one need not be waited for as long.
_DRAIN_PATIENCE = timedelta(minutes=1)
_DRAIN_REST = timedelta(minutes=5)
# A busy account has thousands of drains a day, and each leaves a third of a megabyte in Dagster's history.
_DRAINS_KEPT_FOR = timedelta(days=1)
_DRAINS_FORGOTTEN_AT_ONCE = 20
#: What tells runs that drain, whosever account, from all others.
DRAIN_TAGS = {"iplum/drains": "inbox"}


def build_stale_snapshot(
    accounts: Sequence[Settings],
    job: dg.JobDefinition | dg.UnresolvedAssetJobDefinition,
    *,
    clock: Callable[[], datetime],
) -> dg.SensorDefinition:
    """Make `stale_snapshot`, which starts `publish` whenever the lake is ahead of the snapshot.

    That is so after a run that failed in part, one that was killed, and a backfill of single assets. With many
    accounts, whose runs don't publish, it is so all the time while they sync: it then publishes every quarter of
    an hour, and once when they have ended.
    """
    folder = open_folder(accounts[0])
    do_runs_publish = not accounts[0].is_one_of_many

    @dg.sensor(
        name="stale_snapshot",
        job=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Publishes whenever the lake holds what warehouse.duckdb doesn't and no run is under way.",
    )
    def stale_snapshot(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = clock()
        if do_runs_publish and _is_under_way(context.instance, since=now - _PATIENCE):
            return dg.SkipReason("a run is under way that may publish itself")
        if _is_under_way(context.instance, since=now - _PATIENCE_WITH_MANY) and _has_begun(
            context.instance, job.name, since=now - _PAUSE_WITH_MANY
        ):
            return dg.SkipReason(
                "runs are under way that bring more, and what they brought was published just now"
            )
        try:
            behind = is_behind(folder, choose_marts(accounts))
        except WarehouseError as error:
            raise fail(error) from error
        if not behind:
            return dg.SkipReason("the snapshot is up to date")
        if _has_just_failed(context.instance, job.name, since=now - _PATIENCE):
            return dg.SkipReason("publishing failed within the last hour; see its run, or start `publish` by hand")
        return dg.RunRequest()

    return stale_snapshot


def build_callback_inbox(
    accounts: Sequence[Settings],
    jobs: Sequence[dg.JobDefinition | dg.UnresolvedAssetJobDefinition],
    *,
    clock: Callable[[], datetime],
) -> dg.SensorDefinition:
    """Make `callback_inbox`, which starts `drain` whenever events wait: within a minute they are in the tables.

    `jobs` are the draining ones, one for each of `accounts`, which share the inbox.
    """
    folder = open_folder(accounts[0])
    job_names = {settings.account: job.name for settings, job in zip(accounts, jobs, strict=True)}

    @dg.sensor(
        name="callback_inbox",
        jobs=jobs,
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Moves what iPlum pushed from the receiver's inbox to the tables, within a minute. Its runs that "
            "succeeded leave the history after a day."
        ),
    )
    def callback_inbox(context: dg.SensorEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        if not has_inbox(accounts[0], folder):
            return dg.SkipReason("there is no inbox: no receiver has run yet")
        try:
            with open_inbox(accounts[0], folder) as inbox:
                waiting = inbox.list_waiting()
        except WarehouseError as error:
            raise fail(error) from error
        now = clock()
        _forget_drains(context.instance, before=now - _DRAINS_KEPT_FOR)
        wanted = [job_names[account] for account in waiting if account in job_names]
        held_up = {name: _tell_obstacle(context.instance, name, now) for name in wanted}
        requests = [dg.RunRequest(job_name=name) for name, obstacle in held_up.items() if obstacle is None]
        return requests or dg.SkipReason(next(filter(None, held_up.values()), "nothing waits"))

    return callback_inbox


def _tell_obstacle(instance: dg.DagsterInstance, job_name: str, now: datetime) -> str | None:
    if _is_under_way(instance, since=now - _DRAIN_PATIENCE, job_name=job_name):
        return "a run is draining it"
    if _has_just_failed(instance, job_name, since=now - _DRAIN_REST):
        return "draining failed in the last minutes; see its run"
    return None


def _is_under_way(instance: dg.DagsterInstance, *, since: datetime, job_name: str | None = None) -> bool:
    under_way = dg.RunsFilter(job_name=job_name, created_after=since, statuses=_UNDER_WAY)
    return bool(instance.get_run_records(under_way, limit=1))


def _has_begun(instance: dg.DagsterInstance, job_name: str, *, since: datetime) -> bool:
    return bool(instance.get_run_records(dg.RunsFilter(job_name=job_name, created_after=since), limit=1))


def _forget_drains(instance: dg.DagsterInstance, *, before: datetime) -> None:
    succeeded = dg.RunsFilter(tags=DRAIN_TAGS, created_before=before, statuses=[dg.DagsterRunStatus.SUCCESS])
    for record in instance.get_run_records(succeeded, limit=_DRAINS_FORGOTTEN_AT_ONCE, ascending=True):
        forget_run(instance, record.dagster_run.run_id)


def _has_just_failed(instance: dg.DagsterInstance, job_name: str, *, since: datetime) -> bool:
    latest = instance.get_run_records(dg.RunsFilter(job_name=job_name, created_after=since), limit=1)
    return bool(latest) and latest[0].dagster_run.status == dg.DagsterRunStatus.FAILURE
