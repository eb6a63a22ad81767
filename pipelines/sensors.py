"""What is started by a change rather than by the clock.

Belongs here: what is looked at, and the run that follows. Does not belong here: the run's work.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import dagster as dg

from pipelines.failures import fail
from pipelines.settings import Settings
from pipelines.storage import open_folder
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
            behind = is_behind(open_folder(settings))
        except WarehouseError as error:
            raise fail(error) from error
        if not behind:
            return dg.SkipReason("the snapshot is up to date")
        if _has_just_failed(context.instance, job.name, since=clock() - _PATIENCE):
            return dg.SkipReason("publishing failed within the last hour; see its run, or start `publish` by hand")
        return dg.RunRequest()

    return stale_snapshot


def _has_just_failed(instance: dg.DagsterInstance, job_name: str, *, since: datetime) -> bool:
    latest = instance.get_run_records(dg.RunsFilter(job_name=job_name, created_after=since), limit=1)
    return bool(latest) and latest[0].dagster_run.status == dg.DagsterRunStatus.FAILURE
