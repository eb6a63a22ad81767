"""`/healthz`: status 200 only if an event can be stored, within two seconds."""

import os
import resource
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import sqlalchemy as sa

from tests.pipelines.receiver.test_app import build_environ
from tests.support.callbacks import RunningReceiver, run_receiver, usage_event
from warehouse.raw.inbox import Inbox

START = "2026-03-01T12:00:00Z"
#: Two seconds, and what a busy test machine adds.
SECONDS = 3


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[RunningReceiver]:
    with run_receiver(build_environ(tmp_path)) as running:
        assert running.push(usage_event("one", START)).status_code == 200
        yield running


def check_health(receiver: RunningReceiver) -> int:
    began = time.monotonic()
    response = requests.get(f"{receiver.url}/healthz", timeout=30)
    assert time.monotonic() - began < SECONDS
    return response.status_code


def test_a_deleted_inbox(receiver: RunningReceiver, tmp_path: Path) -> None:
    for file in tmp_path.glob("inbox.sqlite*"):
        file.unlink()
    assert [check_health(receiver) for _ in range(3)] == [503] * 3
    assert [receiver.push(usage_event("two", START)).status_code for _ in range(3)] == [503] * 3


def test_an_event_is_not_acknowledged_after_the_inbox_was_deleted(receiver: RunningReceiver, tmp_path: Path) -> None:
    (tmp_path / "inbox.sqlite").unlink()
    assert receiver.push(usage_event("two", START)).status_code == 503


@pytest.mark.parametrize("planted", ["link to itself", "link to another inbox", "folder", "empty file"])
def test_a_replaced_inbox(receiver: RunningReceiver, tmp_path: Path, planted: str) -> None:
    inbox, moved = tmp_path / "inbox.sqlite", tmp_path / "moved.sqlite"
    inbox.rename(moved)
    if planted == "folder":
        inbox.mkdir()
    elif planted == "empty file":
        inbox.touch()
    else:
        other = tmp_path / "other" / "inbox.sqlite"
        Inbox(f"sqlite:///{other}", "default")
        inbox.symlink_to(moved if planted == "link to itself" else other)
    for name in ("two", "three", "four"):
        assert receiver.push(usage_event(name, START)).status_code == 503
        assert check_health(receiver) == 503


def test_a_folder_replaced_by_a_link(tmp_path: Path) -> None:
    with run_receiver(build_environ(tmp_path / "data")) as running:
        (tmp_path / "data").rename(tmp_path / "moved")
        (tmp_path / "data").symlink_to(tmp_path / "moved")
        assert running.push(usage_event("one", START)).status_code == 503
        assert check_health(running) == 503


def test_a_deleted_folder(tmp_path: Path) -> None:
    with run_receiver(build_environ(tmp_path / "data")) as running:
        (tmp_path / "data").rename(tmp_path / "moved")
        assert check_health(running) == 503
        (tmp_path / "moved").rename(tmp_path / "data")
        assert check_health(running) == 200


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits the files of another process")
def test_a_full_disk(receiver: RunningReceiver, tmp_path: Path) -> None:
    size = (tmp_path / "inbox.sqlite-wal").stat().st_size
    resource.prlimit(receiver.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    assert check_health(receiver) == 503
    assert receiver.push(usage_event("two", START)).status_code == 503
    resource.prlimit(receiver.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert check_health(receiver) == 200


def test_a_locked_inbox(receiver: RunningReceiver, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "inbox.sqlite", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(check_health, [receiver] * 50)) == {503}
    connection.execute("ROLLBACK")
    assert check_health(receiver) == 200
    connection.close()


@pytest.fixture
def empty_postgres(postgres_url: str) -> Iterator[str]:
    yield postgres_url
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS callback_events"))
    engine.dispose()


def test_a_hanging_postgresql(empty_postgres: str, tmp_path: Path) -> None:
    engine = sa.create_engine(empty_postgres)
    with run_receiver(build_environ(tmp_path, IPLUM_INBOX_URL=empty_postgres)) as running:
        assert check_health(running) == 200
        with engine.begin() as connection:
            connection.execute(sa.text("LOCK TABLE callback_events IN ACCESS EXCLUSIVE MODE"))
            assert [check_health(running) for _ in range(3)] == [503] * 3
        assert check_health(running) == 200
        assert running.push(usage_event("one", START)).status_code == 200
    engine.dispose()


def test_postgresql_processes_that_do_not_run(empty_postgres: str, tmp_path: Path) -> None:
    """A frozen server accepts connections and data, and never responds."""
    engine = sa.create_engine(empty_postgres, poolclass=sa.NullPool)
    with run_receiver(build_environ(tmp_path, IPLUM_INBOX_URL=empty_postgres)) as running:
        assert check_health(running) == 200
        with engine.begin() as connection:
            select = (
                "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            backends = list(connection.execute(sa.text(select)).scalars())
        assert backends
        for backend in backends:
            os.kill(backend, signal.SIGSTOP)
        try:
            assert [check_health(running) for _ in range(3)] == [503] * 3
        finally:
            for backend in backends:
                os.kill(backend, signal.SIGCONT)
        assert check_health(running) == 200
    engine.dispose()
