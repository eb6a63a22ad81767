"""`dagster dev` as a person starts it: the UI's server with its GraphQL, and the daemon."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from pipelines.dagster_home import build_ui_command, build_ui_environment, prepare_dagster_home
from pipelines.settings import PROJECT, load_settings
from tests.support.account import Account


class DagsterDev:
    """A `dagster dev` that answers, in a process group of its own."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Ask its GraphQL."""
        reply = requests.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=30)
        data: dict[str, Any] = reply.json()["data"]
        return data

    def kill(self) -> None:
        """Kill server, daemon and runs as a power cut would."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def run_dagster_dev(account: Account) -> AbstractContextManager[DagsterDev]:
    """Run it on the account's history, for as long as the block lasts."""
    return run_dagster({**os.environ, **account.environ}, log=account.path / "dagster.log")


@contextmanager
def run_dagster(environ: Mapping[str, str], *, log: Path, home: Path | None = None) -> Iterator[DagsterDev]:
    """Run it for the account that `environ` describes, for as long as the block lasts.

    `home` is a DAGSTER_HOME with a configuration and a workspace.yaml of its own.
    """
    workspace = (home or PROJECT) / "workspace.yaml"
    home = home or prepare_dagster_home(load_settings(environ, PROJECT))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("a") as output:
        # A shell's background job would ignore the signal by which it is stopped; a group of its own does not.
        process = subprocess.Popen(
            build_ui_command("-p", str(port), workspace=workspace),
            cwd=home,
            env=build_ui_environment(environ, home),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
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
