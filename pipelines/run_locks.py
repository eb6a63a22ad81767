"""Locks that show which runs have a living process, and the end of runs whose process was killed.

A killed process (`kill -9`, a power failure) leaves its run "started" in Dagster's history forever, where ten of them
fill the queue of runs. Each run therefore holds a lock, which the operating system releases when the process ends.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import dagster as dg

#: The states of a run that has not ended.
ACTIVE = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
#: The tag of a run whose process was killed.
KILLED_TAG = "iplum/killed"
_MESSAGE = "The process of this run was killed. Finished windows are kept, and the next sync continues from there."


@contextmanager
def hold_run_lock(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Hold the lock of a run while this process executes it."""
    path = _find_lock(instance, run_id)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    temporary = path.with_name(f".tmp-{run_id}")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Renamed once it is held, so that nobody finds a lock that is not held yet.
        temporary.rename(path)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def find_dead_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """List the runs that have not ended, but whose process has.

    Runs without a lock, such as those of other executors, are not listed.
    """
    runs = instance.get_runs(dg.RunsFilter(statuses=list(ACTIVE)))
    return [run for run in runs if _is_lock_free(_find_lock(instance, run.run_id))]


def fail_dead_runs(instance: dg.DagsterInstance) -> int:
    """Mark the runs of killed processes as failed, and return their number."""
    dead = find_dead_runs(instance)
    for run in dead:
        latest = instance.get_run_by_id(run.run_id)
        if latest is not None and latest.status in ACTIVE:
            instance.add_run_tags(run.run_id, {KILLED_TAG: "true"})
            instance.report_run_failed(latest, _MESSAGE)
        _find_lock(instance, run.run_id).unlink(missing_ok=True)
    return len(dead)


class _LockingExecutor(dg.Executor):
    """An executor that holds the run's lock while another one executes the steps."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> Any:
        """The retry mode of the other executor."""
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:
        """The step dependencies of the other executor."""
        return self._inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Execute the steps."""
        with hold_run_lock(plan_context.instance, plan_context.run_id):
            yield from self._inner.execute(plan_context, execution_plan)


def _create_executor(context: dg.InitExecutorContext) -> dg.Executor:
    creation = dg.in_process_executor.executor_creation_fn
    assert creation is not None  # noqa: S101 Dagster's own definition has one
    return _LockingExecutor(creation(context))


#: Dagster's in-process executor, which holds the run's lock.
locking_executor = dg.ExecutorDefinition(
    name="in_process",
    config_schema=cast("Any", dg.in_process_executor.config_schema),
    executor_creation_fn=_create_executor,
)


def _find_lock(instance: dg.DagsterInstance, run_id: str) -> Path:
    return Path(instance.root_directory) / "running" / run_id


def _is_lock_free(path: Path) -> bool:
    """Whether a lock exists that no process holds."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False
    finally:
        os.close(descriptor)
