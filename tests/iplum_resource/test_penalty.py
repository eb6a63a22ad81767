"""`Retry-After` over real sockets: no process that uses the access key sends a request before its end."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from iplum_resource.client import IPlumClient
from iplum_resource.errors import RateLimited
from iplum_resource.limits.rate_limit_state import open_state_store
from iplum_resource.limits.rate_limiter import RateLimiter
from tests.support.postgres import libpq_url
from tests.support.scripted_server import Received, ScriptedServer, Step, respond
from tests.support.window_requests import CREDENTIALS, RECORDS, WIDE

PENALTY = 2


class PenalizingServer:
    """Responds with records, except to the `penalized`-th request, and lists when each request arrived."""

    def __init__(self, penalized: int, retry_after: str, status: int) -> None:
        self.arrived_at: list[float] = []
        self.was_penalized = threading.Event()
        self._penalized, self._refusal = penalized, respond(status, headers={"Retry-After": retry_after})

    def choose(self, _: Received) -> Step:
        self.arrived_at.append(time.monotonic())
        if len(self.arrived_at) != self._penalized:
            return respond(200, RECORDS)
        self.was_penalized.set()
        return self._refusal


@pytest.fixture(params=["file", "database"])
def open_client(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], IPlumClient]:
    """Return a function that opens a client as a process of its own would."""
    is_file = request.param == "file"
    database = None if is_file else libpq_url(request.getfixturevalue("postgres_url"))

    def open_one(url: str) -> IPlumClient:
        store = open_state_store(str(tmp_path), file=str(tmp_path / "limiter") if is_file else None, database=database)
        return IPlumClient(CREDENTIALS, base_url=url, limiter=RateLimiter(1000, store=store))

    return open_one


@pytest.mark.parametrize("status", [429, 503])
def test_no_thread_or_process_sends_a_request_before_its_end(
    open_client: Callable[[str], IPlumClient], status: int
) -> None:
    script = PenalizingServer(3, str(PENALTY), status)
    with ScriptedServer(choose=script.choose) as server, open_client(server.url) as one, open_client(server.url) as two:
        one.fetch_usage(WIDE, ["fax"])
        two.fetch_usage(WIDE, ["fax"])
        with ThreadPoolExecutor(13) as threads:
            threads.submit(one.fetch_usage, WIDE, ["fax"])
            assert script.was_penalized.wait(20)
            time.sleep(0.3)
            calls = [threads.submit(client.fetch_usage, WIDE, ["fax"]) for client in (one, two) for _ in range(6)]
            assert {call.result().rows for call in calls} == {1}
    penalized_at, *after = script.arrived_at[2:]
    assert len(after) == 13
    assert min(after) - penalized_at >= PENALTY


def test_a_penalty_of_an_hour_fails_the_other_calls_without_a_request(
    open_client: Callable[[str], IPlumClient],
) -> None:
    script = PenalizingServer(1, "3600", 429)
    with ScriptedServer(choose=script.choose) as server, open_client(server.url) as one, open_client(server.url) as two:
        for client in (one, one, two):
            with pytest.raises(RateLimited, match="no request before") as failure:
                client.fetch_usage(WIDE, ["fax"])
            assert failure.value.retry_at is not None
            assert 3500 < (failure.value.retry_at - datetime.now(UTC)).total_seconds() <= 3601
    assert len(script.arrived_at) == 1


def test_a_penalty_of_years_fails_its_own_call_only(open_client: Callable[[str], IPlumClient]) -> None:
    script = PenalizingServer(1, "Fri, 31 Dec 9999 23:59:59 GMT", 429)
    with ScriptedServer(choose=script.choose) as server, open_client(server.url) as client:
        with pytest.raises(RateLimited):
            client.fetch_usage(WIDE, ["fax"])
        assert client.fetch_usage(WIDE, ["fax"]).rows == 1
