"""A server on a real socket that sends scripted bytes: the n-th request gets the n-th step."""

import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

Step = Callable[[socket.socket, threading.Event], None]


@dataclass(frozen=True)
class Received:
    """One received request."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class ScriptedServer:
    """A server that handles one request per connection.

    Requests beyond the last step get the last step again. With `choose`, it selects the step of each request instead.
    """

    def __init__(self, *steps: Step, choose: Callable[[Received], Step] | None = None) -> None:
        self.received: list[Received] = []
        self._steps, self._choose = steps, choose
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                request = _receive(connection)
                with self._lock:
                    step = self._choose(request) if self._choose else self._next_step()
                    self.received.append(request)
                step(connection, self._stop)
            except OSError:
                return  # the client closed the connection, as in the tests of timeouts and size limits

    def _next_step(self) -> Step:
        return self._steps[min(len(self.received), len(self._steps) - 1)]


def _receive(connection: socket.socket) -> Received:
    with connection.makefile("rb") as stream:
        line = stream.readline()
        if not line:
            raise ConnectionError
        headers: dict[str, str] = {}
        while header := stream.readline().strip():
            name, _, value = header.partition(b":")
            headers[name.decode().lower()] = value.strip().decode()
        body = stream.read(int(headers.get("content-length", "0")))
    return Received(line.split()[1].decode(), headers, body)


def write_head(status: int, *, length: int | None, headers: Mapping[str, str] | None = None) -> bytes:
    lines = {"Connection": "close", "Content-Type": "application/json", **(headers or {})}
    if length is not None:
        lines["Content-Length"] = str(length)
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Scripted\r\n{text}\r\n".encode()


def respond(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Step:
    return send(write_head(status, length=len(body), headers=headers) + body)


def send(raw: bytes) -> Step:
    """Send bytes and close the connection."""

    def step(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(raw)

    return step


def send_then_reset(raw: bytes) -> Step:
    def step(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(raw)
        stop.wait(0.05 if raw else 0)  # an immediate reset would discard bytes that the client has not read yet
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return step


def drip(head: bytes, piece: bytes, *, every: float) -> Step:
    """Send a head, then the same piece every `every` seconds without end."""

    def step(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(head)
        while not stop.wait(every):
            connection.sendall(piece)

    return step


def hang(_: socket.socket, stop: threading.Event) -> None:
    stop.wait()
