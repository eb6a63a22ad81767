"""Network outages during a run, over real sockets: retries, then a fatal error."""

import socket
import threading
from collections.abc import Iterator

import pytest

from iplum_resource.errors import Unreachable
from tests.support.scripted_server import write_head
from tests.support.window_requests import NARROW, RECORDS, WIDE, Clock, build_client


class InterruptibleServer:
    """A server that can stop listening, so that connections are refused, and start again on the same port."""

    def __init__(self) -> None:
        # A socket that is bound but not listening refuses connections and reserves the port.
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reservation.bind(("127.0.0.1", 0))
        self._address: tuple[str, int] = self._reservation.getsockname()
        self.url = f"http://127.0.0.1:{self._address[1]}"
        self.response = write_head(200, length=len(RECORDS)) + RECORDS
        self.response_count = 0
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
                self.response_count += 1
                connection.sendall(self.response)


@pytest.fixture
def server() -> Iterator[InterruptibleServer]:
    server = InterruptibleServer()
    yield server
    server.close()


def test_a_short_outage_in_a_long_run_is_retried(server: InterruptibleServer) -> None:
    clock, waits = Clock(), 0

    def sleep(seconds: float) -> None:
        nonlocal waits
        waits += 1
        clock.sleep(seconds)
        if waits == 6:
            server.start()

    with build_client(server.url, clock, sleep=sleep) as client:
        server.start()
        client.fetch_usage(WIDE, ["fax"])
        server.stop()
        assert client.fetch_usage(WIDE, ["fax"]).body == RECORDS
        assert client.fetch_content("r-1").text == RECORDS.decode()
    assert clock.slept == [0.5, 1, 2, 4, 8, 10]
    assert server.response_count == 3


def test_a_long_outage_is_fatal_after_eight_attempts(server: InterruptibleServer) -> None:
    clock = Clock()
    with build_client(server.url, clock) as client:
        server.start()
        client.fetch_usage(NARROW, ["fax"])
        server.stop()
        for _ in range(3):
            with pytest.raises(Unreachable, match="connection refused"):
                client.fetch_usage(WIDE, ["fax"])
    assert len(clock.slept) == 7


def test_a_server_that_was_never_reached_gets_three_attempts(server: InterruptibleServer) -> None:
    clock = Clock()
    with build_client(server.url, clock) as client, pytest.raises(Unreachable):
        client.fetch_usage(WIDE, ["fax"])
    assert len(clock.slept) == 2


def test_a_server_that_responded_within_the_call_gets_eight_attempts(server: InterruptibleServer) -> None:
    """A 500 followed by a refused connection is a temporary outage, not a wrong address."""
    clock = Clock()
    server.response = write_head(500, length=0)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        server.stop()

    server.start()
    with build_client(server.url, clock, sleep=sleep) as client, pytest.raises(Unreachable):
        client.fetch_usage(NARROW, ["fax"])
    assert server.response_count == 1
    assert len(clock.slept) == 7
