"""Sensors that start a run after a change: `stale_snapshot` and `callback_inbox`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from pipelines.clock import Clock
from pipelines.dagster_home import delete_run
from pipelines.defs.failures import failing_step
from pipelines.defs.jobs import DRAIN
from pipelines.run_locks import KILLED_TAG, fail_dead_runs
from pipelines.settings import Settings
from pipelines.steps.refresh_people import refresh_people
from pipelines.warehouse_folder import build_mart_settings, has_inbox, open_folder, open_inbox
from warehouse.snapshot.publish import is_stale

_ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
# A killed run remains "started" in Dagster's history forever, so older runs are ignored.
_RUN_TIMEOUT = timedelta(hours=1)
# Runs of several accounts do not publish themselves; while they run, their data is published at this interval.
_RUN_TIMEOUT_MULTI = timedelta(days=1)
_PUBLISH_INTERVAL_MULTI = timedelta(minutes=15)
# Concurrent drains are harmless, so a killed one is not waited for long.
_DRAIN_TIMEOUT = timedelta(minutes=1)
_DRAIN_PAUSE = timedelta(minutes=5)
# A busy account has thousands of drains per day, each with a third of a megabyte of history.
_DRAINS_KEPT_FOR = timedelta(days=1)
_DRAINS_DELETED_PER_TICK = 20


def build_stale_snapshot(
    accounts: Sequence[Settings], job: "dg.UnresolvedAssetJobDefinition", *, clock: Clock
) -> dg.SensorDefinition:
    """Build `stale_snapshot`, which starts `publish` when the lake is ahead of the snapshot.

    That is so after a run that failed in part or was killed, and after a backfill of single assets. With several
    accounts, whose runs do not publish, it publishes every quarter of an hour while they run, and once afterwards.
    """
    folder = open_folder(accounts[0])
    do_runs_publish = not accounts[0].is_one_of_many

    @dg.sensor(
        name="stale_snapshot",
        job=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Publishes when the lake is ahead of warehouse.duckdb and no run is active.",
    )
    def stale_snapshot(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = clock()
        fail_dead_runs(context.instance)
        if do_runs_publish and _is_active(context.instance, created_after=now - _RUN_TIMEOUT):
            return dg.SkipReason("a run is active that may publish")
        if _is_active(context.instance, created_after=now - _RUN_TIMEOUT_MULTI) and _find_latest(
            context.instance, job_name=job.name, created_after=now - _PUBLISH_INTERVAL_MULTI
        ):
            return dg.SkipReason("runs are active, and their data was published recently")
        with failing_step():
            refresh_people(accounts[0], folder)
            stale = is_stale(folder, build_mart_settings(accounts))
        if not stale:
            return dg.SkipReason("the snapshot is up to date")
        if _has_just_failed(context.instance, job_name=job.name, created_after=now - _RUN_TIMEOUT):
            return dg.SkipReason("publishing failed within the last hour; see its run, or start `publish` manually")
        return dg.RunRequest()

    return stale_snapshot


def build_callback_inbox(
    accounts: Sequence[Settings], job: "dg.UnresolvedAssetJobDefinition", *, clock: Clock
) -> dg.SensorDefinition:
    """Build `callback_inbox`, which starts `drain` when events are pending.

    `accounts` share the inbox; each is drained by its own runs.
    """
    folder = open_folder(accounts[0])

    @dg.sensor(
        name="callback_inbox",
        job=job,
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Moves callbacks from the receiver's inbox to the tables within a minute. Successful runs are removed "
            "from the history after a day."
        ),
    )
    def callback_inbox(context: dg.SensorEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        if not has_inbox(accounts[0], folder):
            return dg.SkipReason("no inbox: the receiver has not run yet")
        with failing_step(), open_inbox(accounts[0], folder) as inbox:
            pending = inbox.list_accounts_with_events()
        now = clock()
        old = dg.RunsFilter(
            tags=DRAIN.tags, created_before=now - _DRAINS_KEPT_FOR, statuses=[dg.DagsterRunStatus.SUCCESS]
        )
        for record in context.instance.get_run_records(old, limit=_DRAINS_DELETED_PER_TICK, ascending=True):
            delete_run(context.instance, record.dagster_run.run_id)
        requests, obstacles = [], []
        for settings in [one for one in accounts if one.account in pending]:
            obstacle = _find_obstacle(context.instance, settings, now)
            if obstacle is None:
                requests.append(dg.RunRequest(asset_selection=DRAIN.select(settings), tags=DRAIN.tags_for(settings)))
            else:
                obstacles.append(obstacle)
        return requests or dg.SkipReason(next(iter(obstacles), "no pending events"))

    return callback_inbox


def _find_obstacle(instance: dg.DagsterInstance, settings: Settings, now: datetime) -> str | None:
    tags = DRAIN.tags_for(settings)
    if _is_active(instance, created_after=now - _DRAIN_TIMEOUT, job_name=DRAIN.name, tags=tags):
        return "a drain is active"
    if _has_just_failed(instance, job_name=DRAIN.name, created_after=now - _DRAIN_PAUSE, tags=tags):
        return "a drain failed in the last minutes; see its run"
    return None


def _is_active(instance: dg.DagsterInstance, **filters: Any) -> bool:
    return _find_latest(instance, statuses=_ACTIVE, **filters) is not None


def _has_just_failed(instance: dg.DagsterInstance, **filters: Any) -> bool:
    """Whether the latest run failed. One whose process was killed says nothing about the next."""
    latest = _find_latest(instance, **filters)
    return latest is not None and latest.status == dg.DagsterRunStatus.FAILURE and KILLED_TAG not in latest.tags


def _find_latest(instance: dg.DagsterInstance, **filters: Any) -> dg.DagsterRun | None:
    """Return the latest run that `dg.RunsFilter` selects."""
    latest = instance.get_run_records(dg.RunsFilter(**filters), limit=1)
    return latest[0].dagster_run if latest else None
