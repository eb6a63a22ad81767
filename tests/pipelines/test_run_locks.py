"""Runs whose process was killed or whose terminal was closed."""

import itertools
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipelines.dagster_home import open_instance, prepare_dagster_home, prepare_ui
from pipelines.defs.build import build_definitions
from pipelines.doctor.diagnosis import State
from pipelines.doctor.machine import diagnose_dagster
from pipelines.run_locks import KILLED_TAG, fail_dead_runs, find_dead_runs, hold_run_lock, locking_executor
from tests.support.account import Account

IPLUM = str(Path(sys.executable).parent / "iplum")


def start_sync(account: Account) -> subprocess.Popen[str]:
    """Start a sync whose responses are slow, and wait until its run has started."""
    account.set_options(latency=3)
    environ = {**os.environ, **account.environ, "IPLUM_CONCURRENCY": "1"}
    process = subprocess.Popen(
        [IPLUM, "sync"], env=environ, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    deadline = time.monotonic() + 60
    while not account.server.requests and time.monotonic() < deadline:
        time.sleep(0.05)
    assert account.server.requests
    return process


def list_states(account: Account) -> list[dg.DagsterRunStatus]:
    with open_instance(account.settings, ends_dead_runs=False) as instance:
        return [run.status for run in instance.get_runs()]


def test_the_run_of_a_killed_sync_is_reported_and_marked_as_failed(account: Account) -> None:
    """Ten such runs would fill Dagster's queue, so that no scheduled run starts any more."""
    with start_sync(account) as process:
        process.kill()
    assert list_states(account) == [dg.DagsterRunStatus.STARTED]
    lines = {line.name: line for line in diagnose_dagster([account.settings], datetime.now(UTC))}
    assert lines["runs"].state is State.WARNING
    assert "killed: 1" in lines["runs"].found
    assert list_states(account) == [dg.DagsterRunStatus.STARTED], "the doctor changes nothing"

    prepare_ui(account.environ, account.path)
    assert list_states(account) == [dg.DagsterRunStatus.FAILURE]
    assert "runs" not in {line.name for line in diagnose_dagster([account.settings], datetime.now(UTC))}


def test_a_living_run_stays_started_and_sighup_cancels_it(account: Account) -> None:
    """A closed terminal sends SIGHUP."""
    with start_sync(account) as process:
        with open_instance(account.settings) as instance:
            assert find_dead_runs(instance) == []
        assert list_states(account) == [dg.DagsterRunStatus.STARTED]
        process.send_signal(signal.SIGHUP)
        _, shown = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in shown) == (130, False), shown
    assert list_states(account) == [dg.DagsterRunStatus.CANCELED]


def test_the_sensor_is_not_blocked_by_a_dead_run(account: Account) -> None:
    defs = build_definitions(account.settings)
    with open_instance(account.settings) as instance:
        job = defs.resolve_job_def("publish")
        run = instance.create_run_for_job(job)
        with hold_run_lock(instance, run.run_id):
            assert fail_dead_runs(instance) == 0
            lock = Path(instance.root_directory) / "running" / run.run_id
            os.link(lock, f"{lock}-kept")
        Path(f"{lock}-kept").rename(lock)  # as a killed process leaves it
        sensor = defs.resolve_sensor_def("stale_snapshot")
        context = dg.build_sensor_context(instance, definitions=defs)
        sensor.evaluate_tick(context)
        latest = instance.get_run_by_id(run.run_id)
        assert latest is not None
        assert latest.status is dg.DagsterRunStatus.FAILURE
        assert latest.tags[KILLED_TAG] == "true", "so that the next drain does not wait"
        assert not lock.exists()


def report(instance: dg.DagsterInstance, run: dg.DagsterRun, *events: str) -> None:
    for event in events:
        instance.report_dagster_event(dg.DagsterEvent(event, run.job_name), run_id=run.run_id)


def test_runs_killed_without_a_lock_end_after_five_minutes(account: Account) -> None:
    """A run of the daemon has no lock before its first step and after its last one."""
    job = build_definitions(account.settings).resolve_job_def("publish")
    with open_instance(account.settings) as instance:
        runs = [instance.create_run_for_job(job) for _ in range(10)]
        for run, end in zip(runs, itertools.cycle(["", "START", "CANCELING"]), strict=False):
            report(instance, run, "PIPELINE_STARTING", *([f"PIPELINE_{end}"] if end else []))
        waiting = instance.create_run_for_job(job)
        soon, later = time.time() + 200, time.time() + 400
        assert fail_dead_runs(instance, now=soon) == 0, "the process may be loading the definitions"
        with hold_run_lock(instance, runs[0].run_id):
            assert fail_dead_runs(instance, now=later) == 9
        assert fail_dead_runs(instance, now=later) == 1
        assert instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])) == 10
        latest = instance.get_run_by_id(waiting.run_id)
        assert latest is not None
        assert latest.status is dg.DagsterRunStatus.NOT_STARTED, "a run that was not started has no process"


def test_locks_that_killed_processes_left_are_removed(account: Account) -> None:
    with open_instance(account.settings) as instance:
        folder = Path(instance.root_directory) / "running"
        with hold_run_lock(instance, "living"):
            for name in ("never-recorded", ".tmp-never-held"):
                (folder / name).touch()
            fail_dead_runs(instance)
            assert sorted(path.name for path in folder.iterdir()) == [".tmp-never-held", "living"]
            fail_dead_runs(instance, now=time.time() + 400)
            assert [path.name for path in folder.iterdir()] == ["living"]


@dg.op
def require_lock(context: dg.OpExecutionContext) -> None:
    """Fail without the run's lock."""
    if not (Path(context.instance.root_directory) / "running" / context.run_id).exists():
        raise dg.Failure("no lock")


@dg.job(executor_def=locking_executor)
def locked_job() -> None:
    """Run one op with the executor of all jobs."""
    require_lock()


def test_a_run_of_the_daemon_holds_its_lock(account: Account) -> None:
    """Such a run is started by the executor of its job, not by `run_job`."""
    with open_instance(account.settings) as instance:
        assert dg.execute_job(dg.reconstructable(locked_job), instance=instance).success
        assert list((Path(instance.root_directory) / "running").iterdir()) == []


@pytest.mark.parametrize("is_changed", [False, True])
def test_the_configuration_of_earlier_versions_is_replaced_unless_changed(account: Account, is_changed: bool) -> None:
    home = prepare_dagster_home(account.settings)
    earlier = (
        "# Written by iplum: no telemetry, no first-run dialog. Your changes are kept.\n"
        "telemetry:\n  enabled: false\nnux:\n  enabled: false\n"
    )
    text = earlier + "# mine\n" * is_changed
    (home / "dagster.yaml").write_text(text)
    prepare_dagster_home(account.settings)
    assert ((home / "dagster.yaml").read_text() == text) is is_changed
    assert ("run_monitoring:\n  enabled: true\n" in (home / "dagster.yaml").read_text()) is not is_changed


def test_a_run_that_has_not_ended_for_a_day_is_reported(account: Account) -> None:
    with open_instance(account.settings) as instance:
        instance.create_run_for_job(build_definitions(account.settings).resolve_job_def("publish"))
    later = datetime.now(UTC) + timedelta(days=2)
    found = [line.found for line in diagnose_dagster([account.settings], later) if line.name == "runs"]
    assert found == ["runs that have not ended for over a day: 1"]
