"""Signals that arrive while a job runs, wherever they arrive."""

import signal
import sys
import time
from contextlib import suppress
from typing import Any, cast

import dagster as dg
import pytest

from pipelines import cli
from pipelines.dagster_home import open_instance
from pipelines.runs.account_jobs import run_job
from tests.support.account import Account


@dg.op(config_schema=str)
def swallow(context: dg.OpExecutionContext) -> None:
    """Fail as a library does that turns a signal into its own error."""
    try:
        signal.raise_signal(getattr(signal, context.op_config))
    except BaseException:  # noqa: BLE001 as the library
        raise RuntimeError("the query was interrupted") from None


@dg.op
def do_nothing() -> None:
    """Succeed."""


@dg.job
def nothing() -> None:
    """Succeed."""
    do_nothing()


class DroppingJob:
    """A job that drops a signal after its last step, as Dagster does."""

    def resolve_job_def(self, _name: str) -> "DroppingJob":
        """Return the job."""
        return self

    def execute_in_process(self, **options: Any) -> dg.ExecuteInProcessResult:
        """Execute the job and drop a signal."""
        result = nothing.execute_in_process(**options)
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return result


def define_swallowing(name: str) -> dg.JobDefinition:
    @dg.job(name="swallowing", config={"ops": {"swallow": {"config": name}}})
    def job() -> None:
        swallow()

    return job


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_that_a_library_turns_into_an_error_cancels_the_run(account: Account, name: str) -> None:
    definitions = dg.Definitions(jobs=[define_swallowing(name)])
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with open_instance(account.settings) as instance:
        with pytest.raises(KeyboardInterrupt):
            run_job(definitions, "swallowing", instance)
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.CANCELED]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_signal_after_the_last_step_stops_the_command_and_leaves_the_run(account: Account) -> None:
    with open_instance(account.settings) as instance:
        with pytest.raises(KeyboardInterrupt):
            run_job(cast("dg.Definitions", DroppingJob()), "nothing", instance)
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.SUCCESS]


def test_a_signal_that_arrives_in_a_destructor_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python only prints "Exception ignored in", and the command would continue."""

    class Interrupted:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def work() -> None:
        Interrupted()
        time.sleep(10)

    monkeypatch.setattr(sys, "unraisablehook", cli._resend_interrupt)
    with pytest.raises(KeyboardInterrupt):
        work()
