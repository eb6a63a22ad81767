"""Locks that show which runs have a living process, and the end of runs whose process was killed.

A killed process (`kill -9`, a power failure) leaves its run "started" in Dagster's history forever, where ten of them
fill the queue of runs. Each run therefore holds a lock, which the operating system releases when the process ends.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import dagster as dg

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: The states of a run that has not ended.
ACTIVE = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
#: The states of a run that has, or had, a process.
_WITH_PROCESS = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
#: The time a run without a lock may take until its next event. A process started by the daemon has no lock while it
#: loads the definitions, and after its last step.
_UNLOCKED_FOR = timedelta(minutes=5)
_TEMPORARY = ".tmp-"
#: The tag of a run whose process was killed.
KILLED_TAG = "iplum/killed"
_MESSAGE = "The process of this run was killed. Finished windows are kept, and the next sync continues from there."


@contextmanager
def hold_run_lock(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Hold the lock of a run while this process executes it."""
    path = _find_lock(instance, run_id)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    temporary = path.with_name(f"{_TEMPORARY}{run_id}")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Renamed once it is held, so that each lock that another process finds is held.
        temporary.rename(path)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def find_dead_runs(instance: dg.DagsterInstance, *, now: float | None = None) -> list[dg.DagsterRun]:
    """List the runs that have not ended, but whose process has; `now` is a Unix time.

    These are the runs with a lock that no process holds, and those without a lock and without an event for five
    minutes: killed before they took the lock, or after they released it.
    """
    now = time.time() if now is None else now
    runs = instance.get_runs(dg.RunsFilter(statuses=list(ACTIVE)))
    return [run for run in runs if _is_dead(instance, run, now)]


def _is_dead(instance: dg.DagsterInstance, run: dg.DagsterRun, now: float) -> bool:
    lock = _find_lock(instance, run.run_id)
    if lock.exists():
        return _is_lock_free(lock)
    # A history in PostgreSQL has runs of executors without locks, whose steps may run on other machines.
    is_local = (Path(instance.root_directory) / "history" / "runs.db").is_file()
    if run.status not in _WITH_PROCESS or not is_local:
        return False
    events = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    last_event = events[0].timestamp if events else 0.0
    # A lock that was taken meanwhile shows a living process.
    return now - last_event > _UNLOCKED_FOR.total_seconds() and not lock.exists()


def fail_dead_runs(instance: dg.DagsterInstance, *, now: float | None = None) -> int:
    """Mark the runs of killed processes as failed, remove the locks they left, and return their number."""
    now = time.time() if now is None else now
    dead = find_dead_runs(instance, now=now)
    for run in dead:
        latest = instance.get_run_by_id(run.run_id)
        if latest is not None and latest.status in ACTIVE:
            instance.add_run_tags(run.run_id, {KILLED_TAG: "true"})
            instance.report_run_failed(latest, _MESSAGE)
    _remove_abandoned(instance, now)
    return len(dead)


def _remove_abandoned(instance: dg.DagsterInstance, now: float) -> None:
    """Remove the locks of runs that have ended, or that were killed before they were recorded."""
    active = {run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=list(ACTIVE)))}
    for path in _find_lock(instance, "").glob("*"):
        with suppress(FileNotFoundError):
            # A lock is not held yet for a moment after its creation.
            is_new = now - path.stat().st_mtime < _UNLOCKED_FOR.total_seconds()
            is_left = path.name not in active and not (path.name.startswith(_TEMPORARY) and is_new)
            if is_left and _is_lock_free(path):
                path.unlink()


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
    """Whether a lock exists that no process holds. Without locks, as on Windows, no run is taken for dead."""
    if fcntl is None:
        return False
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
