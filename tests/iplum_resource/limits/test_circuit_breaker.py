"""The circuit breaker: how many requests a server sees when all threads send one at once."""

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


def _ask_all(client: IPlumClient, fetch: Callable[[IPlumClient], object]) -> list[IPlumError | None]:
    def attempt(_: int) -> IPlumError | None:
        try:
            fetch(client)
        except IPlumError as error:
            return error
        return None

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(attempt, range(THREADS)))


def _ask_usage(client: IPlumClient) -> object:
    return client.fetch_usage(WIDE, ["fax"])


@pytest.mark.parametrize(("status", "kind"), [(401, Unauthorized), (404, WrongAddress), (302, WrongAddress)])
def test_one_rejection_is_the_only_request(status: int, kind: type[IPlumError]) -> None:
    with ScriptedServer(respond(status)) as server, build_client(server.url) as client:
        errors = _ask_all(client, _ask_usage)
        with pytest.raises(kind):
            client.fetch_content("r-1")
    assert [type(error) for error in errors] == [kind] * THREADS
    assert len({id(error) for error in errors}) == THREADS
    assert len(server.received) == 1


def test_an_unreachable_server_is_tried_by_one_thread_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    slept: list[float] = []
    with build_client(f"http://127.0.0.1:{port}", sleep=slept.append) as client:
        errors = _ask_all(client, _ask_usage)
    assert [type(error) for error in errors] == [Unreachable] * THREADS
    assert len(slept) == 2


def test_a_refusal_after_good_answers_ends_what_is_left() -> None:
    with ScriptedServer(respond(200, RECORDS), respond(401)) as server, build_client(server.url) as client:
        client.fetch_usage(WIDE, ["fax"])
        for _ in range(3):
            with pytest.raises(Unauthorized):
                client.fetch_usage(WIDE, ["fax"])
    assert len(server.received) == 2


def test_a_refusal_ends_the_waits_of_other_threads() -> None:
    refused = threading.Event()
    waiting = threading.Event()

    def sleep(_: float) -> None:
        waiting.set()
        assert refused.wait(20)

    steps = [respond(200, RECORDS), respond(500), respond(401)]
    with (
        ScriptedServer(*steps) as server,
        build_client(server.url, sleep=sleep) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        client.fetch_usage(WIDE, ["fax"])
        retrying = pool.submit(_ask_usage, client)
        assert waiting.wait(20)
        with pytest.raises(Unauthorized):
            client.fetch_usage(WIDE, ["fax"])
        refused.set()
        assert isinstance(retrying.exception(20), Unauthorized)
    assert len(server.received) == 3


@pytest.mark.parametrize("status", [200, 400, 429, 500])
def test_any_answer_lets_the_others_go(status: int) -> None:
    """The second and third request are in flight together, or this test would time out."""
    together = threading.Barrier(2)

    def meet(connection: socket.socket, stop: threading.Event) -> None:
        together.wait(20)
        respond(200, RECORDS)(connection, stop)

    with (
        ScriptedServer(respond(status, RECORDS), meet) as server,
        build_client(server.url) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        # A 429 and a 500 are tried again, so the first of the two calls makes the first two requests.
        if status == 200:
            client.fetch_usage(WIDE, ["fax"])
        if status == 400:
            with pytest.raises(InvalidRequest):
                client.fetch_usage(WIDE, ["fax"])
        asked = [pool.submit(_ask_usage, client) for _ in range(2)]
        assert [future.exception(20) for future in asked] == [None, None]


def test_forbidden_recordings_neither_end_nor_hold_up_the_run() -> None:
    with ScriptedServer(respond(403), respond(200, RECORDS)) as server, build_client(server.url) as client:
        with pytest.raises(Forbidden):
            client.fetch_recordings(WIDE)
        assert client.fetch_usage(WIDE, ["fax"]).body == RECORDS


@pytest.mark.parametrize(
    ("step", "kind"), [(respond(403), Forbidden), (send(b""), Interrupted)], ids=["forbidden", "no answer"]
)
def test_without_an_answer_requests_go_one_at_a_time(step: Step, kind: type[IPlumError]) -> None:
    in_flight, most, lock = [0], [0], threading.Lock()

    def count(connection: socket.socket, stop: threading.Event) -> None:
        with lock:
            in_flight[0] += 1
            most[0] = max(most[0], in_flight[0])
        stop.wait(0.005)
        with lock:
            in_flight[0] -= 1
        step(connection, stop)

    with ScriptedServer(count) as server, build_client(server.url) as client:
        errors = _ask_all(client, _ask_usage)
    assert [type(error) for error in errors] == [kind] * THREADS
    assert most == [1]
