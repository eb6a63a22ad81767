"""A backfill as a person starts one in Dagster's UI: through `dagster dev` and its GraphQL, with its daemon.

One window fails; the others must be kept, shown green, and come into SQL by the sensor's publishing.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from iplum_resource.standin import Running
from pipelines.instance import prepare_dagster_home
from pipelines.settings import PROJECT
from tests.pipelines.account import Account
from warehouse.windows import windows_between

LAUNCH = """
mutation Launch($keys: [String!]!) {
  launchPartitionBackfill(backfillParams: {
    assetSelection: [{path: ["raw_usage"]}, {path: ["usage"]}], partitionNames: $keys
  }) { __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } }
}
"""
STATUS = """
query Status($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
  assetNodes(assetKeys: [{path: ["usage"]}]) {
    assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } }
  }
}
"""


@pytest.fixture
def account(standin: Running, tmp_path: Path) -> Account:
    account = Account(standin, tmp_path)
    account.play()
    return account


@pytest.mark.slow
def test_a_backfill_from_the_ui_keeps_what_succeeded(account: Account) -> None:
    windows = list(windows_between(account.began - timedelta(days=20), account.began))
    bad = windows[0]
    account.play(fail_500_days=frozenset({bad.first_day}))
    with run_dagster_dev(account) as ask:
        launched = ask(LAUNCH, keys=[window.key for window in windows])["launchPartitionBackfill"]
        backfill = launched["backfillId"]
        status = wait_for(
            lambda: ask(STATUS, id=backfill),
            until=lambda s: s["partitionBackfillOrError"]["status"].startswith(("COMPLETED", "FAILED")),
        )
        assert status["partitionBackfillOrError"]["status"] == "COMPLETED_FAILED"
        ranges = status["assetNodes"][0]["assetPartitionStatuses"]["ranges"]
        green = [(r["startKey"], r["endKey"]) for r in ranges if r["status"] == "MATERIALIZED"]
        assert green == [(windows[1].key, windows[-1].key)]
        # The sensor publishes what the red run left.
        wait_for(lambda: {"done": account.folder.snapshot.is_file()}, until=lambda s: bool(s["done"]))
    start = f"{windows[1].first_day}"
    assert account.ask(f"SELECT min(window_start)::VARCHAR FROM usage WHERE window_start >= '{start}'") == [
        (start,)
    ]
    expected = [i for i in account.expected_ids() if i in set(account.ids())]
    assert len(expected) > 300


@contextmanager
def run_dagster_dev(account: Account) -> Iterator[Callable[..., dict[str, Any]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {**os.environ, **account.environ, "DAGSTER_HOME": str(prepare_dagster_home(account.settings))}
    command = [str(Path(sys.executable).parent / "dagster"), "dev", "-w", "workspace.yaml", "-p", str(port)]
    log = (account.path / "dagster.log").open("w")
    # A shell's background job would ignore the signal by which it is stopped; a group of its own does not.
    process = subprocess.Popen(
        command, cwd=PROJECT, env=environ, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )

    def ask(query: str, **variables: Any) -> dict[str, Any]:
        reply = requests.post(
            f"http://127.0.0.1:{port}/graphql", json={"query": query, "variables": variables}, timeout=30
        )
        data: dict[str, Any] = reply.json()["data"]
        return data

    try:
        wait_for(lambda: {"up": answers(port)}, until=lambda s: bool(s["up"]))
        yield ask
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(timeout=20)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            log.close()


def answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/server_info", timeout=5).ok
    except requests.ConnectionError:
        return False


def wait_for(
    look: Callable[[], dict[str, Any]], *, until: Callable[[dict[str, Any]], bool], seconds: float = 200
) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while not until(seen := look()):
        assert time.monotonic() < deadline, f"waited in vain: {seen}"
        time.sleep(1)
    return seen
