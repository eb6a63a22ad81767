"""Jobs run in this process, for one account or for all, and recorded in Dagster's history."""

import logging
import os
import signal
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import dagster as dg

from pipelines.defs.failures import describe_failure, is_interruption
from pipelines.defs.jobs import AccountJob
from pipelines.defs.partitions import build_range_tags
from pipelines.run_locks import hold_run_lock
from pipelines.settings import Settings
from warehouse.windows import StorageWindow

# The page of a job in Dagster's UI finds its runs by this tag, which runs started by the UI or the daemon have
# too.
_LOCATION_TAG = {".dagster/repository": "__repository__@pipelines.definitions"}
# Windows has no SIGHUP.
_STOPPING = frozenset({signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)})
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run_account_job(
    definitions: dg.Definitions,
    job: AccountJob,
    settings: Settings,
    *,
    instance: dg.DagsterInstance,
    window_range: Sequence[StorageWindow] = (),
    publishes: bool = True,
) -> list[str]:
    """Run a job of one account on a range of windows, as `run_job` does; see `prefix_account` for the lines returned.

    If `publishes` is false, publishing is left to a later run.
    """
    tags = {**(build_range_tags(window_range) if window_range else {}), **job.tags_for(settings)}
    selection = job.select(settings) if publishes else job.list_keys(settings)
    failures = run_job(definitions, job.name_for(settings), instance, tags=tags, selection=selection)
    return prefix_account(settings, failures)


def prefix_account(settings: Settings, failures: list[str]) -> list[str]:
    """Add the account's name to each line if there are many accounts."""
    return [f"{settings.account}: {failure}" for failure in failures] if settings.is_one_of_many else failures


def run_job(
    definitions: dg.Definitions,
    name: str,
    instance: dg.DagsterInstance,
    *,
    tags: Mapping[str, str] | None = None,
    selection: Sequence[dg.AssetKey] | None = None,
) -> list[str]:
    """Run a job in this process, recorded in Dagster's history; return one line per failed step.

    `selection` limits the run to some of the job's assets. A run that Ctrl-C or SIGTERM stops is marked as canceled,
    and KeyboardInterrupt is raised.
    """
    # Dagster's log is in its history; on the terminal it would hide the progress.
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    # It logs a traceback if Ctrl-C arrives while it closes a connection.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    run_id = str(uuid.uuid4())
    with hold_run_lock(instance, run_id), _watch_signals() as has_arrived, _cancel_if(has_arrived, instance, run_id):
        result = definitions.resolve_job_def(name).execute_in_process(
            instance=instance,
            run_id=run_id,
            asset_selection=selection,
            tags={**_LOCATION_TAG, **(tags or {})},
            run_config=_QUIET,
            raise_on_error=False,
        )
        failed = [event for event in result.all_events if event.is_step_failure]
        if any(map(is_interruption, failed)):
            # Dagster turns an interrupt into a failed step; do not continue with the next run.
            raise KeyboardInterrupt
    return [describe_failure(event) for event in failed]


@contextmanager
def _watch_signals() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether Ctrl-C, SIGTERM or SIGHUP has arrived since.

    An exception alone does not show it: Dagster drops a signal that arrives after the last step, and libraries turn
    one that arrives while they work into an error of their own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # signals are handled in the main thread
        return
    reader, writer = os.pipe()
    arrived = bytearray()

    def has_arrived() -> bool:
        with suppress(BlockingIOError):
            arrived.extend(os.read(reader, 1 << 16))
        return not _STOPPING.isdisjoint(arrived)

    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        yield has_arrived
    finally:
        signal.set_wakeup_fd(before)
        # Dagster leaves SIGTERM as SIGINT is: ignored, in a command that a script started in the background.
        signal.signal(signal.SIGTERM, on_sigterm)
        os.close(reader)
        os.close(writer)


@contextmanager
def _cancel_if(has_arrived: Callable[[], bool], instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """After a signal or KeyboardInterrupt, mark the run as canceled unless it succeeded; raise KeyboardInterrupt."""
    is_interrupted = False
    try:
        yield
    except KeyboardInterrupt:
        is_interrupted = True
    finally:
        if is_interrupted or has_arrived():
            with _ignore_signals():
                run = instance.get_run_by_id(run_id)
                if run is not None and run.status is not dg.DagsterRunStatus.SUCCESS:
                    instance.report_run_canceled(run, "Stopped by Ctrl-C or SIGTERM. Finished windows are kept.")
            raise KeyboardInterrupt


@contextmanager
def _ignore_signals() -> Iterator[None]:
    """Ignore a second Ctrl-C, which would leave the run as started."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
