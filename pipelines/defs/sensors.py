"""What is started by a change rather than by the clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import dagster as dg

from pipelines.dagster_home import forget_run
from pipelines.defs.failures import fail
from pipelines.defs.jobs import DRAIN
from pipelines.settings import Settings
from pipelines.warehouse_folder import choose_marts, has_inbox, open_folder, open_inbox
from warehouse.errors import WarehouseError
from warehouse.snapshot.publish import is_stale

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
            behind = is_stale(folder, choose_marts(accounts))
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
    job: dg.JobDefinition | dg.UnresolvedAssetJobDefinition,
    *,
    clock: Callable[[], datetime],
) -> dg.SensorDefinition:
    """Make `callback_inbox`, which starts `drain` whenever events wait: within a minute they are in the tables.

    `accounts` share the inbox; each is drained by runs of its own.
    """
    folder = open_folder(accounts[0])

    @dg.sensor(
        name="callback_inbox",
        job=job,
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
                waiting = inbox.list_accounts_with_events()
        except WarehouseError as error:
            raise fail(error) from error
        now = clock()
        _forget_drains(context.instance, before=now - _DRAINS_KEPT_FOR)
        requests, obstacles = [], []
        for settings in [one for one in accounts if one.account in waiting]:
            obstacle = _tell_obstacle(context.instance, settings, now)
            if obstacle is None:
                requests.append(
                    dg.RunRequest(asset_selection=DRAIN.select(settings), tags=DRAIN.tags_for(settings))
                )
            else:
                obstacles.append(obstacle)
        return requests or dg.SkipReason(next(iter(obstacles), "nothing waits"))

    return callback_inbox


def _tell_obstacle(instance: dg.DagsterInstance, settings: Settings, now: datetime) -> str | None:
    tags = DRAIN.tags_for(settings)
    if _is_under_way(instance, since=now - _DRAIN_PATIENCE, job_name=DRAIN.name, tags=tags):
        return "a run is draining it"
    if _has_just_failed(instance, DRAIN.name, since=now - _DRAIN_REST, tags=tags):
        return "draining failed in the last minutes; see its run"
    return None


def _is_under_way(
    instance: dg.DagsterInstance,
    *,
    since: datetime,
    job_name: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> bool:
    under_way = dg.RunsFilter(job_name=job_name, created_after=since, statuses=_UNDER_WAY, tags=tags)
    return bool(instance.get_run_records(under_way, limit=1))


def _has_begun(instance: dg.DagsterInstance, job_name: str, *, since: datetime) -> bool:
    return bool(instance.get_run_records(dg.RunsFilter(job_name=job_name, created_after=since), limit=1))


def _forget_drains(instance: dg.DagsterInstance, *, before: datetime) -> None:
    succeeded = dg.RunsFilter(tags=DRAIN.tags, created_before=before, statuses=[dg.DagsterRunStatus.SUCCESS])
    for record in instance.get_run_records(succeeded, limit=_DRAINS_FORGOTTEN_AT_ONCE, ascending=True):
        forget_run(instance, record.dagster_run.run_id)


def _has_just_failed(
    instance: dg.DagsterInstance, job_name: str, *, since: datetime, tags: Mapping[str, str] | None = None
) -> bool:
    latest = instance.get_run_records(dg.RunsFilter(job_name=job_name, created_after=since, tags=tags), limit=1)
    return bool(latest) and latest[0].dagster_run.status == dg.DagsterRunStatus.FAILURE
