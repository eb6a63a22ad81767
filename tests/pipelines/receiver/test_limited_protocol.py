"""Clients without a token: they cannot exhaust the receiver's memory, connections or log, nor keep events out."""

import asyncio
import resource
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.server import ServerState

from pipelines.receiver.limited_protocol import LimitedProtocol, Limits
from tests.pipelines.receiver.test_app import build_environ
from tests.support.callbacks import RunningReceiver, run_receiver, usage_event

START = "2026-03-01T12:00:00Z"


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    """Run a receiver with 1,024 open files, the default of most systems."""
    with run_receiver(build_environ(tmp_path_factory.mktemp("receiver") / "data")) as running:
        resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (1024, 1024))
        yield running


def connect(receiver: RunningReceiver) -> socket.socket:
    host, _, port = receiver.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def read_memory(receiver: RunningReceiver) -> int:
    """Return the receiver's peak memory in megabytes."""
    status = Path(f"/proc/{receiver.process.pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def send_until_closed(receiver: RunningReceiver, head: bytes, piece: bytes, megabytes: int) -> bytes:
    """Send a head, then `piece` until the connection is closed or this much was sent; return the response."""
    response = b""
    with connect(receiver) as connection, suppress(ConnectionError):
        connection.sendall(head)
        block = piece * (100_000 // len(piece) + 1)
        for _ in range(megabytes * 10):
            connection.sendall(block)
    with suppress(OSError):
        response = connection.recv(1000)
    return response


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory from /proc")
@pytest.mark.parametrize(
    ("head", "piece"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n", b"a: b\r\n", id="small headers"),
        pytest.param(b"GET / HTTP/1.1\r\na: ", b"x" * 1000, id="one header"),
        pytest.param(b"GET / HTTP/1.1\r\n", b"x" * 1000, id="one header name"),
        pytest.param(b"GET /", b"x" * 1000, id="URL"),
        pytest.param(b"", b"\r\n", id="empty lines"),
        pytest.param(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n", id="small trailers"),
        pytest.param(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na: ", b"x" * 1000, id="one trailer"),
        pytest.param(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 1000, id="chunk extension"),
        pytest.param(b"", b"GET /healthz HTTP/1.1\r\n\r\n" * 100, id="pipelined requests"),
        pytest.param(b"", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 90 + b"\r\n", id="pipelined headers"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n", b"x" * 1000, id="body"),
        pytest.param(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", id="small chunks"),
    ],
)
def test_150_megabytes_without_a_token_stay_out_of_memory(receiver: RunningReceiver, head: bytes, piece: bytes) -> None:
    before = read_memory(receiver)
    send_until_closed(receiver, head, piece, megabytes=150)
    assert receiver.push(usage_event("after", START)).status_code == 200
    assert read_memory(receiver) - before < 64


def test_idle_connections_do_not_keep_events_out(receiver: RunningReceiver) -> None:
    with ExitStack() as stack:
        for number in range(1_100):
            connection = stack.enter_context(connect(receiver))
            connection.sendall([b"", b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"][number % 3])
            if number % 100 == 99:
                began = time.monotonic()
                assert receiver.push(usage_event(f"event {number}", START)).status_code == 200
                assert time.monotonic() - began < 5


def test_connections_whose_responses_are_not_read_do_not_keep_events_out(receiver: RunningReceiver) -> None:
    requests = b"GET / HTTP/1.1\r\n\r\n" * 10_000
    with ExitStack() as stack:
        for _ in range(600):
            connection = stack.enter_context(connect(receiver))
            connection.setblocking(False)
            with suppress(BlockingIOError, ConnectionError):
                connection.send(requests)
        assert receiver.push(usage_event("while nobody reads", START)).status_code == 200


def test_malformed_requests_are_not_logged(tmp_path: Path) -> None:
    with run_receiver(build_environ(tmp_path)) as running:
        for request in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"):
            with connect(running) as connection:
                connection.sendall(request)
                assert connection.recv(1000)
        running.stop()
    assert len(running.output.splitlines()) <= 1


def test_a_flood_of_requests_on_closed_connections_is_not_logged(tmp_path: Path) -> None:
    """uvicorn logged a traceback for each response on a connection that was closed or replaced meanwhile."""
    requests = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 16
    body = b"POST /callbacks/x/usage HTTP/1.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
    with run_receiver(build_environ(tmp_path)) as running:
        for number in range(400):
            with connect(running) as connection:
                if number % 2:  # closed with a reset
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                with suppress(ConnectionError):
                    connection.sendall(body if number % 5 == 0 else requests)
        with ExitStack() as stack:
            for _ in range(700):  # more than the limit, so that some are replaced
                connection = stack.enter_context(connect(running))
                with suppress(ConnectionError):
                    connection.sendall(requests)
        assert running.push(usage_event("after", START)).status_code == 200
        running.stop()
    assert running.output == ""


@pytest.mark.parametrize(("count", "status"), [(90, b"404"), (101, b"400")])
def test_number_of_headers(receiver: RunningReceiver, count: int, status: bytes) -> None:
    with connect(receiver) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * count + b"\r\n")
        assert connection.recv(1000).split()[1] == status


@pytest.mark.parametrize(("size", "status"), [(60_000, b"404"), (70_000, b"400")])
def test_size_of_headers(receiver: RunningReceiver, size: int, status: bytes) -> None:
    with connect(receiver) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\na: " + b"x" * size + b"\r\n\r\n")
        assert connection.recv(1000).split()[1] == status


async def answer_slowly(request: Request) -> Response:
    await request.body()
    await asyncio.sleep(0.5 if request.url.path == "/slow" else 60)
    return Response("done")


class ShortLimits(LimitedProtocol):
    """The protocol with limits that a test can wait for."""

    limits = Limits(head_seconds=0.5, body_seconds=1, response_seconds=1.5)


async def time_connection(port: int, start: bytes, drip: bytes) -> tuple[float, bytes]:
    """Send `start`, then `drip` ten times a second; return the seconds until the connection closed and the response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    writer.write(start)
    response = asyncio.create_task(read_all(reader))
    while not response.done() and time.monotonic() - began < 10:
        writer.write(drip)
        await asyncio.wait([response], timeout=0.1)
    writer.close()
    return time.monotonic() - began, await response


async def read_all(reader: asyncio.StreamReader) -> bytes:
    data = b""
    with suppress(ConnectionError):
        while piece := await reader.read(1000):
            data += piece
    return data


@pytest.mark.parametrize(
    ("start", "drip", "seconds", "status"),
    [
        pytest.param(b"", b"", 0.5, b"", id="nothing"),
        pytest.param(b"", b"\r\n", 0.5, b"", id="empty lines"),
        pytest.param(b"GET / HTTP/1.1\r\n", b"a: b\r\n", 0.5, b"", id="head"),
        pytest.param(b"POST /slow HTTP/1.1\r\nContent-Length: 99\r\n\r\n", b"x", 1, b"", id="body"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n", b"x", 0.5, b"404", id="body after a response"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", b"\r\n", 0.5, b"404", id="empty lines after a response"),
        pytest.param(b"GET /never HTTP/1.1\r\n\r\n", b"", 1.5, b"", id="response"),
        pytest.param(b"GET /slow HTTP/1.1\r\n\r\n" * 2, b"", 1.5, b"200", id="pipelined"),
    ],
)
def test_each_wait_for_a_client_ends(start: bytes, drip: bytes, seconds: float, status: bytes) -> None:
    async def run() -> tuple[float, bytes]:
        app = Starlette(routes=[Route(path, answer_slowly, methods=["GET", "POST"]) for path in ("/slow", "/never")])
        config = uvicorn.Config(app, http=ShortLimits, lifespan="off", log_config=None)
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        async with await loop.create_server(lambda: ShortLimits(config, state, {}), "127.0.0.1", 0) as server:
            took = await time_connection(server.sockets[0].getsockname()[1], start, drip)
        assert not state.connections
        for task in state.tasks:
            task.cancel()
        return took

    took, response = asyncio.run(run())
    assert seconds - 0.1 <= took < seconds + 1
    assert response[9:12] == status
