"""Faults of connections, statuses and bodies: resets, truncated bodies, 429, 500 and error pages."""

import asyncio
import socket
import struct
import time
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from iplum_resource.standin.requests import ApiError, fail, read_clock
from iplum_resource.standin.server_state import Simulation

_ERROR_OBJECT = '{"errorCode":"ERR_SERVER","errorDescription":"Please try again later."}'
_ERROR_PAGE = "<html><body><h1>Down for maintenance</h1></body></html>"


def is_reset(simulation: Simulation) -> bool:
    """Whether this request's connection is to be reset."""
    options = simulation.options
    return simulation.faults.occurs("reset", first=options.reset_first, share=options.reset)


def check_rate_and_failures(simulation: Simulation) -> None:
    """Reject a request over the rate limit, or one that is to fail.

    Raises:
        ApiError: 429, with Retry-After as the options say, or 500.

    """
    options = simulation.options
    wait = 1 if simulation.faults.occurs("fail_429", first=options.fail_429_first) else 0
    if not wait and simulation.rate_limit is not None:
        wait = simulation.rate_limit.wait_for(time.monotonic())
    if wait:
        raise ApiError(429, headers=_retry_after(simulation, wait))
    if simulation.faults.occurs("fail_500", first=options.fail_500_first, share=options.fail_500):
        raise fail()


def _retry_after(simulation: Simulation, wait: int) -> dict[str, str]:
    match simulation.options.retry_after:
        case "seconds":
            return {"Retry-After": str(wait)}
        case "date":
            moment = read_clock(simulation.options) + timedelta(seconds=wait)
            return {"Retry-After": format_datetime(moment, usegmt=True)}
        case None:
            return {}


def apply_body_faults(simulation: Simulation, response: Response, *, is_array: bool) -> Response:
    """Return the response, or what a fault makes of it; only arrays are replaced."""
    options, occurs = simulation.options, simulation.faults.occurs
    body, media_type = bytes(response.body), response.media_type or ""
    if occurs("cut", first=options.cut_first, share=options.cut):
        return TruncatedResponse(body, media_type)
    if occurs("cut_chunked", first=options.cut_chunked_first):
        return TruncatedResponse(body, media_type, chunked=True)
    if not is_array:
        return response
    if occurs("malformed", first=options.malformed_first):
        return Response(body[: len(body) // 2], media_type=media_type)
    if occurs("error_object", first=options.error_object_first):
        return Response(_ERROR_OBJECT, media_type=media_type)
    if occurs("html", first=options.html_first):
        return Response(_ERROR_PAGE, media_type="text/html")
    return response


RESET = "standin.reset"  # announces a reset to the request log

_LINGER_ZERO = struct.pack("ii", 1, 0)  # makes close send RST instead of FIN


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with the transport available to the application."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Disable Nagle's algorithm, so that small responses are sent at once."""
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)

    def on_message_begin(self) -> None:
        """Start a request, with the transport in its state."""
        super().on_message_begin()
        self.scope["state"]["transport"] = self.transport


class Reset(Response):
    """Reset the connection before the first byte of the response."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send an RST."""
        await send({"type": RESET})
        transport = _transport(scope)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        transport.abort()
        await wait_for_disconnect(receive)


class TruncatedResponse(Response):
    """Send the headers and half of the body, then close the connection.

    With `chunked`, there is no Content-Length and no closing chunk.
    """

    def __init__(self, body: bytes, media_type: str, *, chunked: bool = False) -> None:
        super().__init__(body, media_type=media_type)
        if chunked:
            del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the first half."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        _transport(scope).close()
        await wait_for_disconnect(receive)


async def wait_for_disconnect(receive: Receive) -> None:
    """Wait until the connection is closed."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def pause(receive: Receive, seconds: float) -> None:
    """Wait for some seconds, or until the client disconnects."""
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
