"""Rejected keys during pulls in several threads: no further requests are sent."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from iplum_resource.client import IPlumClient
from iplum_resource.errors import Unauthorized
from iplum_resource.limits.rate_limiter import RateLimiter
from iplum_resource.standin.options import Options
from iplum_resource.standin.server import Running
from iplum_resource.window import Window
from iplum_resource.window_pull import ResponseSizes, WindowPull
from tests.support.scripted_server import ScriptedServer, respond
from tests.support.window_pulls import LATER, TYPES, PullResult, pull
from tests.support.window_requests import CREDENTIALS, RECORDS, WIDE, Clock, build_client

THREADS = 8
WINDOWS = [Window(WIDE.start + number * WIDE.width, WIDE.end + number * WIDE.width) for number in range(60)]


def _open_standin(standin: Running, clock: Clock) -> None:
    standin.options = Options(
        access_key=CREDENTIALS.access_key,
        secret_key=CREDENTIALS.secret_key,
        login_id=CREDENTIALS.login_id,
        clock=clock.now,
        now=lambda: LATER,
        rows_per_day=2,
    )


def _pull_all(client: IPlumClient) -> list[PullResult]:
    def pull_one(window: Window) -> PullResult:
        return pull(lambda part: client.fetch_usage(part, TYPES), window)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(pull_one, WINDOWS))


def test_wrong_keys_cause_one_request(standin: Running) -> None:
    clock = Clock()
    _open_standin(standin, clock)
    standin.options = replace(standin.options, secret_key="another")
    with build_client(standin.url, clock) as client:
        results = _pull_all(client)
    assert {type(result.error) for result in results} == {Unauthorized}
    assert [request.status for request in standin.requests] == [401]


def test_after_keys_are_revoked_only_requests_in_flight_get_a_401(standin: Running) -> None:
    clock, acquired, lock = Clock(), [0], threading.Lock()
    _open_standin(standin, clock)

    class RevokingLimiter(RateLimiter):
        def acquire(self, *_: object, **__: object) -> None:
            with lock:
                acquired[0] += 1
                if acquired[0] == 20:
                    standin.options = replace(standin.options, secret_key="another")

    with build_client(standin.url, clock, limiter=RevokingLimiter(1_000_000)) as client:
        results = _pull_all(client)
    statuses = Counter(request.status for request in standin.requests)
    assert 1 <= statuses[401] <= THREADS
    assert set(statuses) == {200, 401}
    assert sum(result.error is None for result in results) == statuses[200]
    assert {type(result.error) for result in results if result.error} == {Unauthorized}


def test_a_thread_that_waits_for_the_rate_limiter_sends_nothing_after_a_401() -> None:
    """At 5 requests per second, 7 of 8 threads usually wait for the rate limiter, not for a response."""
    waiting_for_limiter, rejected = threading.Event(), threading.Event()

    class BlockingLimiter(RateLimiter):
        def acquire(self, *_: object, **__: object) -> None:
            if threading.current_thread() is not threading.main_thread():
                waiting_for_limiter.set()
                assert rejected.wait(20)

    steps = [respond(200, RECORDS), respond(401)]
    with (
        ScriptedServer(*steps) as server,
        build_client(server.url, limiter=BlockingLimiter(5)) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        client.fetch_usage(WIDE, ["fax"])
        waiting = pool.submit(client.fetch_usage, WIDE, ["fax"])
        try:
            assert waiting_for_limiter.wait(20)
            with pytest.raises(Unauthorized):
                client.fetch_usage(WIDE, ["fax"])
        finally:
            rejected.set()
        assert isinstance(waiting.exception(20), Unauthorized)
        assert len(server.received) == 2


def test_a_401_stops_a_pull_that_splits_its_window() -> None:
    steps = [respond(200, RECORDS), respond(500), respond(500), respond(500), respond(401)]
    with ScriptedServer(*steps) as server, build_client(server.url) as client:
        client.fetch_usage(WIDE, ["fax"])
        pulls = WindowPull(lambda part: client.fetch_usage(part, ["fax"]), WIDE, ResponseSizes(), "auto", lambda: LATER)
        with pytest.raises(Unauthorized):
            list(pulls)
        assert len(server.received) == 5
