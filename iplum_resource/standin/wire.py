"""Faults of the connection, done to the real socket: resets and bodies cut short."""

import asyncio
import socket
import struct
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

RESET = "standin.reset"  # the message by which a reset is announced, ahead of it, to whoever keeps record

_LINGER_ZERO = struct.pack("ii", 1, 0)  # makes close send RST in place of FIN


class Protocol(HttpToolsProtocol):
    """Speak HTTP as uvicorn does, with the transport within the application's reach."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Send small answers at once: asyncio sees to that only for sockets that name their protocol."""
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)

    def on_message_begin(self) -> None:
        """Begin a request, its transport in its state."""
        super().on_message_begin()
        self.scope["state"]["transport"] = self.transport


class Reset(Response):
    """Reset the connection before a byte of the answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with an RST."""
        await send({"type": RESET})
        transport = _transport(scope)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        transport.abort()
        await wait_for_disconnect(receive)


class CutShort(Response):
    """Send the headers of an answer and half of its body, then close.

    With `chunked` the length is not announced and the closing chunk is missing.
    """

    def __init__(self, body: bytes, media_type: str, *, chunked: bool = False) -> None:
        super().__init__(body, media_type=media_type)
        if chunked:
            del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer in part."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        _transport(scope).close()
        await wait_for_disconnect(receive)


async def wait_for_disconnect(receive: Receive) -> None:
    """Wait until the connection is gone, whatever else still arrives on it."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def pause(receive: Receive, seconds: float) -> None:
    """Wait for so long, or until the client has gone away: nobody is kept busy for nobody."""
    if not seconds:
        return
    try:
        async with asyncio.timeout(seconds):
            await wait_for_disconnect(receive)
    except TimeoutError:
        return


def _transport(scope: Scope) -> asyncio.Transport:
    state: dict[str, Any] = scope["state"]
    transport: asyncio.Transport = state["transport"]
    return transport
