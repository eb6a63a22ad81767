"""HTTP connections with limits of size, time and number, so that a client without a token cannot exhaust the receiver.

uvicorn's httptools protocol limits neither headers nor the time of a request. Its h11 protocol limits the size of
headers only, and halves the rate of events.
"""

import asyncio
from asyncio.events import TimerHandle
from dataclasses import dataclass
from typing import Any, ClassVar

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of connections and of each request on them.

    `framing_bytes` limits everything in a request except its body: request line, headers, trailers, chunk sizes.
    A connection is closed if a request's head takes longer than `head_seconds` from the opening of the connection or
    the response before, its body longer than `body_seconds`, or its response longer than `response_seconds`.
    """

    connections: int = 512
    headers: int = 100
    framing_bytes: int = 65_536
    pipelined_requests: int = 16
    head_seconds: float = 10
    body_seconds: float = 30
    response_seconds: float = 60


class _LimitExceeded(Exception):
    """A request exceeds a limit; the parser passes it on as its own error, for which uvicorn sends status 400."""


class _Transport:
    """A transport on which nothing happens once it is closing.

    uvicorn also sends the responses of pipelined requests after their connection was closed. That is an error, which it
    logs with a traceback.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()


class LimitedProtocol(HttpToolsProtocol):
    """One connection within `limits`.

    At the maximum number of connections, a new one replaces the one that has waited for its client for longest, so
    that idle connections cannot keep others out.
    """

    limits: ClassVar[Limits] = Limits()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._headers = 0
        self._header_bytes = 0
        self._framing_bytes = 0
        self._body_bytes = 0
        self._request_ended = False
        self._deadline: TimerHandle | None = None
        #: The event loop's time when the current wait began.
        self.waiting_since = 0.0
        self.is_replaced = False

    @property
    def is_waiting(self) -> bool:
        """Whether the connection waits for its client: for a complete head, or until responses are read."""
        return self.cycle is None or self.cycle.response_complete or self.flow.write_paused

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Accept the connection, in place of another one at the maximum."""
        super().connection_made(_Transport(transport))  # type: ignore[arg-type]
        self._set_deadline(self.limits.head_seconds)
        if len(self.connections) > self.limits.connections:
            self._replace_longest_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self.pipeline.clear()
        if self._deadline is not None:
            self._deadline.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, and count those that are not part of a body."""
        self._body_bytes, self._request_ended = 0, False
        super().data_received(data)
        # An unfinished header or trailer is in the parser's memory only.
        self._framing_bytes = 0 if self._request_ended else self._framing_bytes + len(data) - self._body_bytes
        if self._framing_bytes > self.limits.framing_bytes and not self.transport.is_closing():
            self.send_400_response("The headers are too large.")

    def on_message_begin(self) -> None:
        """Begin a request."""
        if len(self.pipeline) >= self.limits.pipelined_requests:
            raise _LimitExceeded
        self._headers = self._header_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Add a part of the request's URL."""
        self._count_header_bytes(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header or a trailer."""
        self._headers += 1
        if self._headers > self.limits.headers:
            raise _LimitExceeded
        self._count_header_bytes(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, whose body has its own deadline."""
        super().on_headers_complete()
        self._set_deadline(self.limits.body_seconds)

    def on_body(self, body: bytes) -> None:
        """Add a part of the request's body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request, whose response has its own deadline."""
        self._request_ended = True
        super().on_message_complete()
        if not self.cycle.response_complete:
            self._set_deadline(self.limits.response_seconds)

    def on_response_complete(self) -> None:
        """Wait for the next request, or answer the next one that was received already."""
        is_last = not self.pipeline
        super().on_response_complete()
        self._set_deadline(self.limits.head_seconds if is_last else self.limits.response_seconds)

    def _count_header_bytes(self, count: int) -> None:
        self._header_bytes += count
        if self._header_bytes > self.limits.framing_bytes:
            raise _LimitExceeded

    def _set_deadline(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self.waiting_since = self.loop.time()
        # Closing would wait for a client that does not read its responses.
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _replace_longest_waiting(self) -> None:
        waiting = [
            connection
            for connection in self.connections
            if isinstance(connection, LimitedProtocol) and connection.is_waiting and not connection.is_replaced
        ]
        longest = min(waiting, key=lambda connection: connection.waiting_since)
        longest.is_replaced = True
        longest.transport.abort()
