"""What is started by a change rather than by the clock.

Belongs here: what is looked at, and the run that follows. Does not belong here: the run's work.
"""

from __future__ import annotations

from collections.abc import Callable
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
# Draining beside another run does no harm, so a killed one need not be waited for as long.
_DRAIN_PATIENCE = timedelta(minutes=1)
_DRAIN_REST = timedelta(minutes=5)
# A busy account has thousands of drains a day, and each leaves a third of a megabyte in Dagster's history.
_DRAINS_KEPT_FOR = timedelta(days=1)
_DRAINS_FORGOTTEN_AT_ONCE = 20


def build_stale_snapshot(
    settings: Settings,
    job: dg.JobDefinition | dg.UnresolvedAssetJobDefinition,
    *,
    clock: Callable[[], datetime],
) -> dg.SensorDefinition:
    """Make `stale_snapshot`, which starts `publish` whenever the lake is ahead of the snapshot.

    That is so after a run that failed in part, one that was killed, and a backfill of single assets.
    """

    @dg.sensor(
        name="stale_snapshot",
        job=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Publishes whenever the lake holds what warehouse.duckdb doesn't and no run is under way.",
    )
    def stale_snapshot(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        recent = dg.RunsFilter(created_after=clock() - _PATIENCE, statuses=_UNDER_WAY)
        if context.instance.get_run_records(recent, limit=1):
            return dg.SkipReason("a run is under way that may publish itself")
        try:
            behind = is_behind(open_folder(settings), choose_marts(settings))
        except WarehouseError as error:
            raise fail(error) from error
        if not behind:
            return dg.SkipReason("the snapshot is up to date")
        if _has_just_failed(context.instance, job.name, since=clock() - _PATIENCE):
            return dg.SkipReason("publishing failed within the last hour; see its run, or start `publish` by hand")
        return dg.RunRequest()

    return stale_snapshot


def build_callback_inbox(
    settings: Settings,
    job: dg.JobDefinition | dg.UnresolvedAssetJobDefinition,
    *,
    clock: Callable[[], datetime],
) -> dg.SensorDefinition:
    """Make `callback_inbox`, which starts `drain` whenever events wait: within a minute they are in the tables."""

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
    def callback_inbox(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        folder = open_folder(settings)
        if not has_inbox(settings, folder):
            return dg.SkipReason("there is no inbox: no receiver has run yet")
        _forget_drains(context.instance, job.name, before=clock() - _DRAINS_KEPT_FOR)
        under_way = dg.RunsFilter(job_name=job.name, created_after=clock() - _DRAIN_PATIENCE, statuses=_UNDER_WAY)
        if context.instance.get_run_records(under_way, limit=1):
            return dg.SkipReason("a run is draining it")
        try:
            with open_inbox(settings, folder) as inbox:
                waiting = inbox.count_pending()
        except WarehouseError as error:
            raise fail(error) from error
        if not waiting:
            return dg.SkipReason("nothing waits")
        if _has_just_failed(context.instance, job.name, since=clock() - _DRAIN_REST):
            return dg.SkipReason("draining failed in the last minutes; see its run")
        return dg.RunRequest()

    return callback_inbox


def _forget_drains(instance: dg.DagsterInstance, job_name: str, *, before: datetime) -> None:
    succeeded = dg.RunsFilter(job_name=job_name, created_before=before, statuses=[dg.DagsterRunStatus.SUCCESS])
    for record in instance.get_run_records(succeeded, limit=_DRAINS_FORGOTTEN_AT_ONCE, ascending=True):
        forget_run(instance, record.dagster_run.run_id)


def _has_just_failed(instance: dg.DagsterInstance, job_name: str, *, since: datetime) -> bool:
    latest = instance.get_run_records(dg.RunsFilter(job_name=job_name, created_after=since), limit=1)
    return bool(latest) and latest[0].dagster_run.status == dg.DagsterRunStatus.FAILURE
