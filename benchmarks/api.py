"""An API server in its own process. Responses are slices of prepared bytes, so that they take almost no CPU time."""

import asyncio
import json
import mmap
import sys
import time
from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_HEAD = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class PreparedResponses:
    """The prepared rows of a folder, accessed without copying."""

    def __init__(self, folder: Path) -> None:
        self._rows = _map(folder / "rows.json")
        self._starts: Sequence[int] = _map(folder / "starts").cast("q")
        self._offsets: Sequence[int] = _map(folder / "offsets").cast("q")

    def find_usage(self, start: str, end: str) -> memoryview:
        """Return the rows that start in a range, separated by commas. `start` and `end` have the documented format."""
        first, last = (bisect_left(self._starts, _read_instant(text)) for text in (start, end))
        return self._rows[self._offsets[first] : max(self._offsets[first], self._offsets[last] - 1)]


class RequestTimes:
    """Times of requests and of the ends of their responses, in seconds on the monotonic clock."""

    def __init__(self) -> None:
        self.requested_at: list[float] = []
        self.responded_at: list[float] = []
        self._used = time.process_time()

    def export(self) -> bytes:
        """Return the recorded times as JSON, and clear them."""
        recorded = {
            "requested_at": self.requested_at,
            "responded_at": self.responded_at,
            "cpu": time.process_time() - self._used,
        }
        self.__init__()  # type: ignore[misc]
        return json.dumps(recorded).encode()


class Connection(asyncio.Protocol):
    """A client's keep-alive connection."""

    def __init__(self, responses: PreparedResponses, times: RequestTimes, latency: float) -> None:
        self._responses, self._times, self._latency = responses, times, latency
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport for responses."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect a request, and respond when it is complete."""
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        length = _read_length(head)
        if not found or len(rest) < length:
            return
        self._received = rest[length:]
        method, path, _ = head.split(b" ", 2)
        if method == b"GET" and path == b"/request-times":
            self._send(b"200 OK", self._times.export())
            return
        self._times.requested_at.append(time.monotonic())
        response = self._choose_response(method, path, rest[:length])
        asyncio.get_running_loop().call_later(self._latency, self._respond, response)

    def _choose_response(self, method: bytes, path: bytes, body: bytes) -> tuple[bytes, tuple[Any, ...]]:
        if method != b"POST":
            return b"405 Method Not Allowed", ()
        match path:
            case b"/usage/getusage":
                parameters = json.loads(body)
                return b"200 OK", (
                    b"[",
                    self._responses.find_usage(parameters["StartDate"], parameters["EndDate"]),
                    b"]",
                )
            case b"/callrecordings/getrecordings":
                return b"200 OK", (b"[]",)
            case b"/usage/getcontent":
                return b"200 OK", (b'"Hello"',)
            case b"/callrecordings/getrecordingfile":
                return b"200 OK", (b'"https://media.iplum.com/recording.mp3"',)
        return b"404 Not Found", ()

    def _respond(self, response: tuple[bytes, tuple[Any, ...]]) -> None:
        self._send(response[0], *response[1])
        self._times.responded_at.append(time.monotonic())

    def _send(self, status: bytes, *parts: bytes | memoryview) -> None:
        self._transport.write(_HEAD % (status, sum(map(len, parts))))
        for part in parts:
            self._transport.write(part)


def _map(path: Path) -> memoryview:
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _read_instant(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def _read_length(head: bytes) -> int:
    lines = (line.partition(b":") for line in head.split(b"\r\n"))
    return next((int(value) for name, _, value in lines if name.lower() == b"content-length"), 0)


async def serve(folder: Path, latency: float) -> None:
    """Serve until the process is terminated."""
    responses, times = PreparedResponses(folder), RequestTimes()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(responses, times, latency), "127.0.0.1", 0, backlog=256
    )
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0))
