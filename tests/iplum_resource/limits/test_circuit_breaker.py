"""The circuit breaker with several threads, over real sockets."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from iplum_resource.client import IPlumClient
from iplum_resource.errors import (
    Forbidden,
    Interrupted,
    InvalidRequest,
    IPlumError,
    Unauthorized,
    Unreachable,
    WrongAddress,
)
from tests.support.scripted_server import ScriptedServer, Step, respond, send
from tests.support.window_requests import RECORDS, WIDE, build_client

THREADS = 8


def _call_in_all_threads(client: IPlumClient, fetch: Callable[[IPlumClient], object]) -> list[IPlumError | None]:
    def attempt(_: int) -> IPlumError | None:
        try:
            fetch(client)
        except IPlumError as error:
            return error
        return None

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(attempt, range(THREADS)))


def _fetch_usage(client: IPlumClient) -> object:
    return client.fetch_usage(WIDE, ["fax"])


@pytest.mark.parametrize(("status", "kind"), [(401, Unauthorized), (404, WrongAddress), (302, WrongAddress)])
def test_a_rejection_of_the_first_request_stops_all_threads_before_they_send(
    status: int, kind: type[IPlumError]
) -> None:
    with ScriptedServer(respond(status)) as server, build_client(server.url) as client:
        errors = _call_in_all_threads(client, _fetch_usage)
        with pytest.raises(kind):
            client.fetch_content("r-1")
    assert [type(error) for error in errors] == [kind] * THREADS
    assert len({id(error) for error in errors}) == THREADS
    assert len(server.received) == 1


def test_only_one_thread_tries_to_reach_an_unreachable_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    slept: list[float] = []
    with build_client(f"http://127.0.0.1:{port}", sleep=slept.append) as client:
        errors = _call_in_all_threads(client, _fetch_usage)
    assert [type(error) for error in errors] == [Unreachable] * THREADS
    assert len(slept) == 2


def test_a_401_after_successful_responses_stops_all_further_requests() -> None:
    with ScriptedServer(respond(200, RECORDS), respond(401)) as server, build_client(server.url) as client:
        client.fetch_usage(WIDE, ["fax"])
        for _ in range(3):
            with pytest.raises(Unauthorized):
                client.fetch_usage(WIDE, ["fax"])
    assert len(server.received) == 2


def test_a_401_stops_the_retries_of_other_threads() -> None:
    rejected = threading.Event()
    waiting = threading.Event()

    def sleep(_: float) -> None:
        waiting.set()
        assert rejected.wait(20)

    steps = [respond(200, RECORDS), respond(500), respond(401)]
    with (
        ScriptedServer(*steps) as server,
        build_client(server.url, sleep=sleep) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        client.fetch_usage(WIDE, ["fax"])
        retrying = pool.submit(_fetch_usage, client)
        assert waiting.wait(20)
        with pytest.raises(Unauthorized):
            client.fetch_usage(WIDE, ["fax"])
        rejected.set()
        assert isinstance(retrying.exception(20), Unauthorized)
    assert len(server.received) == 3


@pytest.mark.parametrize("status", [200, 400, 429, 500])
def test_any_response_allows_requests_in_parallel(status: int) -> None:
    """The server responds to the next two requests only when both are in flight."""
    barrier = threading.Barrier(2)

    def wait_for_both(connection: socket.socket, stop: threading.Event) -> None:
        barrier.wait(20)
        respond(200, RECORDS)(connection, stop)

    with (
        ScriptedServer(respond(status, RECORDS), wait_for_both) as server,
        build_client(server.url) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        # A 429 and a 500 are retried, so the first of the two calls below sends the first two requests.
        if status == 200:
            client.fetch_usage(WIDE, ["fax"])
        if status == 400:
            with pytest.raises(InvalidRequest):
                client.fetch_usage(WIDE, ["fax"])
        futures = [pool.submit(_fetch_usage, client) for _ in range(2)]
        assert [future.exception(20) for future in futures] == [None, None]


def test_a_403_for_recordings_does_not_stop_usage_requests() -> None:
    with ScriptedServer(respond(403), respond(200, RECORDS)) as server, build_client(server.url) as client:
        with pytest.raises(Forbidden):
            client.fetch_recordings(WIDE)
        assert client.fetch_usage(WIDE, ["fax"]).body == RECORDS


@pytest.mark.parametrize(
    ("step", "kind"), [(respond(403), Forbidden), (send(b""), Interrupted)], ids=["forbidden", "no response"]
)
def test_requests_are_sent_one_at_a_time_until_the_first_response(step: Step, kind: type[IPlumError]) -> None:
    in_flight, peak, lock = [0], [0], threading.Lock()

    def count(connection: socket.socket, stop: threading.Event) -> None:
        with lock:
            in_flight[0] += 1
            peak[0] = max(peak[0], in_flight[0])
        stop.wait(0.005)
        with lock:
            in_flight[0] -= 1
        step(connection, stop)

    with ScriptedServer(count) as server, build_client(server.url) as client:
        errors = _call_in_all_threads(client, _fetch_usage)
    assert [type(error) for error in errors] == [kind] * THREADS
    assert peak == [1]
