"""`dagster dev` as a person starts it: the UI's server with its GraphQL, and the daemon.

Belongs here: starting it, asking it, stopping and killing it. Does not belong here: what is expected.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from pipelines.instance import prepare_dagster_home
from pipelines.settings import PROJECT
from tests.pipelines.account import Account


class DagsterDev:
    """A `dagster dev` that answers, in a process group of its own."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self._port = port

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Ask its GraphQL."""
        url = f"http://127.0.0.1:{self._port}/graphql"
        reply = requests.post(url, json={"query": query, "variables": variables}, timeout=30)
        data: dict[str, Any] = reply.json()["data"]
        return data

    def kill(self) -> None:
        """Kill server, daemon and runs as a power cut would."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def run_dagster_dev(account: Account) -> Iterator[DagsterDev]:
    """Run it on the account's history, for as long as the block lasts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {**os.environ, **account.environ, "DAGSTER_HOME": str(prepare_dagster_home(account.settings))}
    command = [str(Path(sys.executable).parent / "dagster"), "dev", "-w", "workspace.yaml", "-p", str(port)]
    log = (account.path / "dagster.log").open("a")
    # A shell's background job would ignore the signal by which it is stopped; a group of its own does not.
    process = subprocess.Popen(
        command, cwd=PROJECT, env=environ, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    dagster = DagsterDev(process, port)
    try:
        wait_for(lambda: {"up": _answers(port)}, until=lambda s: bool(s["up"]))
        yield dagster
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
        dagster.kill()
        log.close()


def _answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/server_info", timeout=5).ok
    except requests.ConnectionError:
        return False


def wait_for(
    look: Callable[[], dict[str, Any]], *, until: Callable[[dict[str, Any]], bool], seconds: float = 200
) -> dict[str, Any]:
    """Look once a second until it is so, and give what was seen."""
    deadline = time.monotonic() + seconds
    while not until(seen := look()):
        assert time.monotonic() < deadline, f"waited in vain: {seen}"
        time.sleep(1)
    return seen
