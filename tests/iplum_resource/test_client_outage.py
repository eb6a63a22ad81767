"""A network that fails in the middle of a run, over real sockets: retried for a while, then fatal."""

import socket
import threading
from collections.abc import Iterator

import pytest

from iplum_resource.errors import Unreachable
from tests.support.scripted_server import write_head
from tests.support.window_requests import NARROW, RECORDS, WIDE, Clock, build_client


class Outlet:
    """A server that can be taken off its port, so that connections are refused, and put back on."""

    def __init__(self) -> None:
        # Bound without listening it refuses, and keeps the port from being given to somebody else.
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reservation.bind(("127.0.0.1", 0))
        self._address: tuple[str, int] = self._reservation.getsockname()
        self.url = f"http://127.0.0.1:{self._address[1]}"
        self.response = write_head(200, length=len(RECORDS)) + RECORDS
        self.answered = 0
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._listener = socket.create_server(self._address, reuse_port=True)
        self._thread = threading.Thread(target=self._serve, args=(self._listener,))
        self._thread.start()

    def close(self) -> None:
        self.stop()
        self._reservation.close()

    def stop(self) -> None:
        if self._listener is not None and self._thread is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._thread.join()
        self._listener = self._thread = None

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(1 << 16)
                self.answered += 1
                connection.sendall(self.response)


@pytest.fixture
def outlet() -> Iterator[Outlet]:
    outlet = Outlet()
    yield outlet
    outlet.close()


def test_a_short_outage_in_a_long_run_is_retried(outlet: Outlet) -> None:
    clock, waits = Clock(), 0

    def sleep(seconds: float) -> None:
        nonlocal waits
        waits += 1
        clock.sleep(seconds)
        if waits == 6:
            outlet.start()

    with build_client(outlet.url, clock, sleep=sleep) as client:
        outlet.start()
        client.fetch_usage(WIDE, ["fax"])
        outlet.stop()
        assert client.fetch_usage(WIDE, ["fax"]).body == RECORDS
        assert client.fetch_content("r-1").text == RECORDS.decode()
    assert clock.slept == [0.5, 1, 2, 4, 8, 10]
    assert outlet.answered == 3


def test_an_outage_that_lasts_ends_the_run_after_eight_attempts(outlet: Outlet) -> None:
    clock = Clock()
    with build_client(outlet.url, clock) as client:
        outlet.start()
        client.fetch_usage(NARROW, ["fax"])
        outlet.stop()
        for _ in range(3):
            with pytest.raises(Unreachable, match="connection refused"):
                client.fetch_usage(WIDE, ["fax"])
    assert len(clock.slept) == 7


def test_a_server_that_was_never_there_is_given_up_after_three(outlet: Outlet) -> None:
    clock = Clock()
    with build_client(outlet.url, clock) as client, pytest.raises(Unreachable):
        client.fetch_usage(WIDE, ["fax"])
    assert len(clock.slept) == 2


def test_a_response_in_the_same_call_counts_as_reached(outlet: Outlet) -> None:
    """A client gets a 500 and then no connection: a temporary outage, not a wrong address."""
    clock = Clock()
    outlet.response = write_head(500, length=0)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        outlet.stop()

    outlet.start()
    with build_client(outlet.url, clock, sleep=sleep) as client, pytest.raises(Unreachable):
        client.fetch_usage(NARROW, ["fax"])
    assert outlet.answered == 1
    assert len(clock.slept) == 7
