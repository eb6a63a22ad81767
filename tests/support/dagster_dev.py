"""A running `dagster dev`: web server with GraphQL, and daemon."""

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
    """A running `dagster dev` in its own process group."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{port}"

    def query(self, query: str, **variables: Any) -> dict[str, Any]:
        """Run a GraphQL query and return its data."""
        response = requests.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=30)
        data: dict[str, Any] = response.json()["data"]
        return data

    def kill(self) -> None:
        """Kill the web server, the daemon and all runs with SIGKILL."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def run_dagster_dev(account: Account) -> AbstractContextManager[DagsterDev]:
    """Run `dagster dev` for an account during the block."""
    return run_dagster({**os.environ, **account.environ}, log=account.path / "dagster.log")


@contextmanager
def run_dagster(environ: Mapping[str, str], *, log: Path, home: Path | None = None) -> Iterator[DagsterDev]:
    """Run `dagster dev` with the settings in `environ` during the block.

    Args:
        environ: Complete environment of the process.
        log: File for the output.
        home: A DAGSTER_HOME with its own configuration and workspace.yaml; by default, the one of the account.
    """
    code = ("-w", str(home / "workspace.yaml")) if home else ("-m", "pipelines.definitions")
    home = home or prepare_dagster_home(load_settings(environ, PROJECT))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("a") as output:
        # A background job of a non-interactive shell ignores SIGINT; a process in its own session does not.
        process = subprocess.Popen(
            build_ui_command("-p", str(port), code=code),
            cwd=home,
            env=build_ui_environment(environ, home),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        dagster = DagsterDev(process, port)
        try:
            wait_for(lambda: {"up": _is_up(port)}, until=lambda s: bool(s["up"]))
            yield dagster
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=20)
            dagster.kill()


def _is_up(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/server_info", timeout=5).ok
    except requests.ConnectionError:
        return False


def wait_for(
    look: Callable[[], dict[str, Any]], *, until: Callable[[dict[str, Any]], bool], seconds: float = 200
) -> dict[str, Any]:
    """Call `look` once per second until its result satisfies `until`, and return that result."""
    deadline = time.monotonic() + seconds
    while not until(result := look()):
        assert time.monotonic() < deadline, f"timed out after {seconds:g} s; last result: {result}"
        time.sleep(1)
    return result
