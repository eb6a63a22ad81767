"""A backfill on two Celery workers, one of which is killed: all rows are in the bucket at the end.

The workers share PostgreSQL, Redis and an object store. Each has its own state folder.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from iplum_resource.standin.server import Running
from pipelines.settings import PROJECT
from tests.end_to_end.test_backfill import STATUS
from tests.support.account import DAYS, Account
from tests.support.dagster_dev import run_dagster, wait_for
from tests.support.postgres import libpq_url
from tests.support.redis import find_redis, run_redis
from tests.support.s3 import S3Server
from warehouse.snapshot.pointer import read_pointer
from warehouse.windows import windows_between

LAUNCH = """
mutation Launch($keys: [String!]!) {
  launchPartitionBackfill(backfillParams: {
    assetSelection: [
      {path: ["raw_usage"]}, {path: ["usage"]}, {path: ["raw_recordings"]}, {path: ["recordings"]}
    ], partitionNames: $keys
  }) { ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } }
}
"""
_CLUSTER = PROJECT / "deploy" / "cluster"
#: Visibility timeout: after this time another worker gets the task of a killed one. In production it is two hours.
_VISIBILITY_TIMEOUT = 20


@contextmanager
def run_worker(name: str, home: Path, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker with one process as in docs/cluster.md, with its own home and state folders."""
    programs = Path(sys.executable).parent
    command = [str(programs / "dagster-celery"), "worker", "start", "-A", "dagster_celery.app", "-n", name]
    command += ["-y", str(home / "celery.yaml"), "--", "--concurrency=1"]
    own = {**environ, "DAGSTER_HOME": str(home), "IPLUM_STATE": str(home / "state"), "PYTHONPATH": str(PROJECT)}
    # dagster-celery runs `celery` from PATH, as in an activated virtual environment.
    own["PATH"] = os.pathsep.join((str(programs), environ["PATH"]))
    with (home / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=home, env=own, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def make_home(folder: Path) -> Path:
    """Write a machine's DAGSTER_HOME: the project's configuration with a shorter visibility timeout."""
    shutil.copytree(_CLUSTER, folder)
    celery = folder / "celery.yaml"
    celery.write_text(celery.read_text().replace("7200", str(_VISIBILITY_TIMEOUT)))
    return folder


@pytest.mark.timeout(600)
def test_a_backfill_succeeds_although_one_of_two_workers_is_killed(
    standin: Running, tmp_path: Path, postgres_url: str, s3_server: S3Server
) -> None:
    if find_redis() is None:
        pytest.skip("Redis is not installed")
    account = Account(standin, tmp_path)
    account.changes = {
        "IPLUM_DATA": s3_server.create_bucket().address,
        "IPLUM_STATE": str(tmp_path / "reader"),
        **s3_server.environ,
    }
    # Slow responses, so that the worker is killed during a step.
    account.set_options(latency=3.0)
    windows = list(windows_between(account.created_at - timedelta(days=DAYS), account.created_at))
    with ExitStack() as cluster:
        environ = {
            **os.environ,
            **account.environ,
            "IPLUM_BROKER_URL": cluster.enter_context(run_redis(tmp_path)),
            "IPLUM_LIMITER_URL": libpq_url(postgres_url),
            "DAGSTER_POSTGRES_URL": postgres_url,
            "IPLUM_CONCURRENCY": "1",
        }
        # Starts first because it creates Dagster's tables. Concurrent creation fails.
        server = make_home(tmp_path / "server")
        dagster = cluster.enter_context(run_dagster(environ, log=server / "dagster.log", home=server))
        workers = {
            name: cluster.enter_context(run_worker(name, make_home(tmp_path / name), environ))
            for name in ("first", "second")
        }
        launched = dagster.query(LAUNCH, keys=[window.key for window in windows])["launchPartitionBackfill"]
        wait_for(lambda: {"requests": account.count_requests("/usage/getusage")}, until=lambda s: s["requests"] >= 2)
        (busy,) = (name for name in workers if "pull_usage - STEP_START" in read_log(tmp_path / name))
        os.killpg(workers[busy].pid, signal.SIGKILL)
        account.set_options()
        status = wait_for(
            lambda: dagster.query(STATUS, id=launched["backfillId"]),
            until=lambda s: s["partitionBackfillOrError"]["status"].startswith(("COMPLETED", "FAILED")),
        )
        assert status["partitionBackfillOrError"]["status"] == "COMPLETED_SUCCESS"
        (other,) = workers.keys() - {busy}
        assert "pull_usage - STEP_SUCCESS" in read_log(tmp_path / other)
        wait_for(lambda: {"published": read_pointer(account.folder)}, until=lambda s: s["published"] is not None)
    assert account.ids() == account.expected_ids()
    assert account.ids("recordings") == account.expected_ids("recordings")


def read_log(home: Path) -> str:
    """Return the log of a worker."""
    return (home / "worker.log").read_text()
