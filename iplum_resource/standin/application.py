"""The HTTP application: routes, endpoints, and the order of checks."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from iplum_resource.standin.fault_responses import (
    RESET,
    Reset,
    TruncatedResponse,
    apply_body_faults,
    check_rate_and_failures,
    is_reset,
    pause,
)
from iplum_resource.standin.media import MEDIA_TYPES, parse_content, read_media
from iplum_resource.standin.options import Options
from iplum_resource.standin.records import build_media_name, is_media_name
from iplum_resource.standin.requests import (
    ApiError,
    Window,
    build_error_response,
    check_media_types,
    fail,
    invalid_request,
    read_body,
    read_clock,
    read_record_id,
    read_usage_kinds,
    read_window,
    verify_headers,
)
from iplum_resource.standin.server_state import ServerState, Simulation


def create_app(options: Options) -> Starlette:
    """Build the stand-in as an ASGI application, to be served by `serve` or `running`.

    Other servers work too, but resets and truncated bodies need the transport that these two provide.
    """
    return create_shared_app(ServerState(options))


def create_shared_app(state: ServerState) -> Starlette:
    """Build the application around a state that can be replaced while it runs."""
    routes = [
        Route(path, partial(_handle_api, state, endpoint), methods=["POST"]) for path, endpoint in ENDPOINTS.items()
    ]
    routes.append(Route("/media/{name}", partial(_handle_media, state)))
    app = Starlette(routes=routes, middleware=[Middleware(_RequestLog, state)])
    app.router.redirect_slashes = False
    return app


async def _handle_api(state: ServerState, endpoint: "Endpoint", request: Request) -> Response:
    simulation = state.simulation
    raw = await request.body()
    request.state.body = _read_leniently(raw)
    if is_reset(simulation):
        return Reset()
    try:
        verify_headers(request.headers, request.url.path, options=simulation.options)
        check_permission(simulation, endpoint)
        check_rate_and_failures(simulation)
        check_media_types(request.headers)
        api_request = ApiRequest(read_body(raw), _media_base(request, simulation.options))
        # Rows are generated in a thread, so that a large response does not block others.
        response = await asyncio.to_thread(endpoint.handle, simulation, api_request)
        response = apply_body_faults(simulation, response, is_array=endpoint.is_array)
    except ApiError as error:
        response = build_error_response(error)
    await pause(request.receive, simulation.options.latency)
    return response


async def _handle_media(state: ServerState, request: Request) -> Response:
    simulation = state.simulation
    options, name = simulation.options, request.path_params["name"]
    await pause(request.receive, options.latency)
    if not is_media_name(name, seed=options.seed):
        return Response("Not Found", 404, media_type="text/plain")
    if simulation.faults.occurs("media_not_ready", first=options.media_not_ready_first):
        return Response("Not Found", 404, media_type="text/plain")
    if simulation.faults.occurs("media_error_page", share=options.media_error_page):
        return Response("<html><body>Something went wrong</body></html>", media_type="text/html")
    media_type = MEDIA_TYPES[name.rpartition(".")[2]]
    chunks = read_media(name, options.media_bytes)
    if simulation.faults.occurs("media_cut", share=options.media_cut):
        return TruncatedResponse(b"".join(chunks), media_type)
    length = {"Content-Length": str(options.media_bytes)}
    return StreamingResponse(_stream(chunks), media_type=media_type, headers=length)


async def _stream(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def _media_base(request: Request, options: Options) -> str:
    if options.media_base is not None:
        return options.media_base.rstrip("/")
    host, port = request.scope["server"]
    return f"http://[{host}]:{port}/media" if ":" in host else f"http://{host}:{port}/media"


def _read_leniently(raw: bytes) -> dict[str, Any] | None:
    """Parse a body for the request log, which also lists rejected requests."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


class _RequestLog:
    """Middleware that dates every response by the server's clock and logs every request."""

    def __init__(self, app: ASGIApp, state: ServerState) -> None:
        self._app = app
        self._stage = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; it is logged before the client can see the response."""

        async def send_dated(message: Message) -> None:
            if message["type"] == RESET:
                self._record(scope, None)
                return
            if message["type"] == "http.response.start":
                now = read_clock(self._stage.simulation.options)
                date = format_datetime(now, usegmt=True).encode("ascii")
                message["headers"] = [*message["headers"], (b"date", date)]
                self._record(scope, message["status"])
            await send(message)

        # A client that disconnects in the middle of a request is not an error.
        with suppress(ClientDisconnect):
            await self._app(scope, receive, send_dated)

    def _record(self, scope: Scope, status: int | None) -> None:
        body = scope.get("state", {}).get("body")
        self._stage.record(scope["method"], scope["path"], body=body, status=status)


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """The parameters of a request, and the base of media URLs."""

    parameters: dict[str, Any]
    media_base: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint: its handler, whether it returns an array, and its permission."""

    handle: Callable[[Simulation, ApiRequest], Response]
    is_array: bool
    is_permitted: Callable[[Options], bool]


def check_permission(simulation: Simulation, endpoint: Endpoint) -> None:
    """Check the permission for an endpoint.

    Raises:
        ApiError: 403.

    """
    if not endpoint.is_permitted(simulation.options):
        raise ApiError(403)


def get_usage(simulation: Simulation, api_request: ApiRequest) -> Response:
    """List usage records."""
    kinds = read_usage_kinds(api_request.parameters, rejected=simulation.options.refuse_types)
    window = _read_window(api_request.parameters, simulation.options)
    return _array_response(simulation.history.list_rows("usage", window.start, end=window.end, kinds=kinds))


def get_recordings(simulation: Simulation, api_request: ApiRequest) -> Response:
    """List recording records."""
    window = _read_window(api_request.parameters, simulation.options)
    return _array_response(simulation.history.list_rows("recordings", window.start, end=window.end))


def get_content(simulation: Simulation, api_request: ApiRequest) -> Response:
    """Return a text, or the URL of an attachment or fax."""
    row = simulation.history.find_row("usage", read_record_id(api_request.parameters))
    content = None if row is None else parse_content(row, seed=simulation.options.seed)
    if content is None:
        raise invalid_request("RecordID is not that of a text or fax.")
    if content.media_name is not None:
        return _string_response(f"{api_request.media_base}/{content.media_name}", simulation.options)
    return _string_response(content.text or "", simulation.options)


def get_recording_file(simulation: Simulation, api_request: ApiRequest) -> Response:
    """Return the URL of a recording's file."""
    row = simulation.history.find_row("recordings", read_record_id(api_request.parameters))
    if row is None:
        raise invalid_request("RecordID is not that of a recording.")
    name = build_media_name(row["recordId"], "mp3", seed=simulation.options.seed)
    return _string_response(f"{api_request.media_base}/{name}", simulation.options)


def _read_window(parameters: dict[str, Any], options: Options) -> Window:
    window = read_window(parameters)
    widest = options.fail_500_wider_than
    if widest is not None and window.end - window.start > widest:
        raise fail()
    for day in options.fail_500_days:
        midnight = datetime.combine(day, time.min, tzinfo=UTC)
        if window.start < midnight + timedelta(days=1) and window.end > midnight:
            raise fail()
    return window


def _array_response(rows: list[str]) -> Response:
    return Response(f"[{','.join(rows)}]", media_type="application/json")


def _string_response(text: str, options: Options) -> Response:
    if options.content_as == "plain":
        return Response(text, media_type="text/plain")
    return Response(json.dumps(text), media_type="application/json")


def _has_usage(options: Options) -> bool:
    return options.usage_permission


def _has_recordings(options: Options) -> bool:
    return options.recording_plan


ENDPOINTS = {
    "/usage/getusage": Endpoint(get_usage, is_array=True, is_permitted=_has_usage),
    "/usage/getcontent": Endpoint(get_content, is_array=False, is_permitted=_has_usage),
    "/callrecordings/getrecordings": Endpoint(get_recordings, is_array=True, is_permitted=_has_recordings),
    "/callrecordings/getrecordingfile": Endpoint(get_recording_file, is_array=False, is_permitted=_has_recordings),
}
