"""Callbacks from push to published tables while processes are killed: each acknowledged record is stored once."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import requests

from iplum_resource.standin.server import Running
from pipelines.settings import PROJECT
from tests.support.account import Account
from tests.support.callbacks import TOKEN, RunningReceiver, run_receiver, usage_event
from tests.support.dagster_dev import run_dagster_dev, wait_for


@pytest.fixture
def account(standin: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    account = Account(standin, tmp_path, {"IPLUM_CALLBACK_TOKEN": TOKEN})
    account.set_options(rows_per_day=2)
    for name, value in account.environ.items():
        monkeypatch.setenv(name, value)
    return account


def build_environ(account: Account) -> Mapping[str, str]:
    return {**os.environ, **account.environ}


def push_until_killed(receiver: RunningReceiver, account: Account, acknowledged: set[str], name: str) -> None:
    start = f"{account.created_at:%Y-%m-%d}T00:00:00Z"
    with requests.Session() as session:
        for index in range(100_000):
            record_id = f"{name}-{index}"
            try:
                url = f"{receiver.url}/callbacks/{TOKEN}/usage"
                response = session.post(url, json=usage_event(record_id, start), timeout=30)
            except requests.RequestException:
                return
            if response.status_code == 200:
                acknowledged.add(record_id)


def count_published(account: Account) -> dict[str, int]:
    if not account.folder.snapshot.is_file():
        return {}
    return dict(account.query("SELECT record_id, count(*) FROM usage WHERE record_id LIKE 'push-%' GROUP BY 1"))


def test_killed_receivers_and_drains_neither_lose_nor_duplicate_records(account: Account) -> None:
    acknowledged: set[str] = set()
    for kill in range(3):
        with run_receiver(build_environ(account)) as receiver:
            pushers = [
                threading.Thread(
                    target=push_until_killed, args=(receiver, account, acknowledged, f"push-{kill}-{number}")
                )
                for number in range(8)
            ]
            for pusher in pushers:
                pusher.start()
            time.sleep(0.7)
            receiver.kill()
            for pusher in pushers:
                pusher.join()
        # A sync also drains the inbox; each sync is killed at a different moment.
        sync_and_kill(account, after=1.5 + 0.6 * kill)
    assert len(acknowledged) > 300
    report = account.sync()
    assert report.failures == []
    published = count_published(account)
    assert acknowledged <= published.keys()
    assert set(published.values()) == {1}


def sync_and_kill(account: Account, *, after: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", "sync"],
        cwd=PROJECT,
        env=build_environ(account),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(timeout=after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def test_the_daemon_publishes_callbacks_also_after_it_was_killed(account: Account) -> None:
    start = f"{account.created_at:%Y-%m-%d}T00:00:00Z"
    with run_receiver(build_environ(account)) as receiver:
        with run_dagster_dev(account) as dagster:
            assert receiver.push([usage_event(f"push-{index}", start) for index in range(50)]).status_code == 200
            wait_for(lambda: {"rows": len(count_published(account))}, until=lambda seen: seen["rows"] == 50)
            assert receiver.push([usage_event(f"push-{index}", start) for index in range(40, 90)]).status_code == 200
            wait_for_drain(account)
            dagster.kill()
        assert receiver.push(usage_event("push-90", start)).status_code == 200
        with run_dagster_dev(account):
            wait_for(lambda: {"rows": len(count_published(account))}, until=lambda seen: seen["rows"] == 91)
    assert set(count_published(account).values()) == {1}


def wait_for_drain(account: Account) -> None:
    """Wait until a drain has claimed events, so that it is killed while it runs."""
    from pipelines.warehouse_folder import open_inbox

    with open_inbox(account.settings, account.folder) as inbox:
        wait_for(
            lambda: {"waiting": inbox.count_pending(), "claimed": inbox.list_claimed()},
            until=lambda seen: not seen["waiting"] or bool(seen["claimed"]),
        )
