"""The HTTP side: routes, and the order in which a request is judged."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from email.utils import format_datetime
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from iplum_resource.standin.authorization import read_clock, verify_headers
from iplum_resource.standin.endpoints import ENDPOINTS, Endpoint, Question, check_permission
from iplum_resource.standin.identifiers import is_media_name
from iplum_resource.standin.media import MEDIA_TYPES, read_media
from iplum_resource.standin.options import Options
from iplum_resource.standin.parameters import check_media_types, read_body
from iplum_resource.standin.refusal import Refused, answer_refusal
from iplum_resource.standin.spoiling import limit_requests, spoil_answer, strike_connection
from iplum_resource.standin.stage import Stage
from iplum_resource.standin.wire import RESET, CutShort, Reset, pause


def create_app(options: Options) -> Starlette:
    """Build the stand-in as an ASGI application, to be served by `serve` or `running`.

    Another server can serve it as well, but resets and cut bodies need the transport that these two hand in.
    """
    return create_staged_app(Stage(options))


def create_staged_app(stage: Stage) -> Starlette:
    """Build the application around a stage that somebody else may set anew."""
    routes = [
        Route(path, partial(_answer_api, stage, endpoint), methods=["POST"])
        for path, endpoint in ENDPOINTS.items()
    ]
    routes.append(Route("/media/{name}", partial(_answer_media, stage)))
    app = Starlette(routes=routes, middleware=[Middleware(_Envelope, stage)])
    app.router.redirect_slashes = False
    return app


async def _answer_api(stage: Stage, endpoint: Endpoint, request: Request) -> Response:
    play = stage.play
    raw = await request.body()
    request.state.body = _read_leniently(raw)
    if strike_connection(play):
        return Reset()
    try:
        verify_headers(request.headers, request.url.path, options=play.options)
        check_permission(play, endpoint)
        limit_requests(play)
        check_media_types(request.headers)
        question = Question(read_body(raw), _media_base(request, play.options))
        # Rows are made in a thread, so that a large answer keeps nobody else waiting.
        response = await asyncio.to_thread(endpoint.answer, play, question)
        response = spoil_answer(play, response, is_array=endpoint.is_array)
    except Refused as refusal:
        response = answer_refusal(refusal)
    await pause(request.receive, play.options.latency)
    return response


async def _answer_media(stage: Stage, request: Request) -> Response:
    play = stage.play
    options, name = play.options, request.path_params["name"]
    await pause(request.receive, options.latency)
    if not is_media_name(name, seed=options.seed):
        return Response("Not Found", 404, media_type="text/plain")
    if play.faults.strike("media_not_ready", first=options.media_not_ready_first):
        return Response("Not Found", 404, media_type="text/plain")
    if play.faults.strike("media_error_page", share=options.media_error_page):
        return Response("<html><body>Something went wrong</body></html>", media_type="text/html")
    media_type = MEDIA_TYPES[name.rpartition(".")[2]]
    chunks = read_media(name, options.media_bytes)
    if play.faults.strike("media_cut", share=options.media_cut):
        return CutShort(b"".join(chunks), media_type)
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
    """Read a body for the record, which also has the requests that are refused."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


class _Envelope:
    """Date every answer by the server's own clock, and write every request down."""

    def __init__(self, app: ASGIApp, stage: Stage) -> None:
        self._app = app
        self._stage = stage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; it is written down before the client can know how it went."""

        async def send_dated(message: Message) -> None:
            if message["type"] == RESET:
                self._record(scope, None)
                return
            if message["type"] == "http.response.start":
                now = read_clock(self._stage.play.options)
                date = format_datetime(now, usegmt=True).encode("ascii")
                message["headers"] = [*message["headers"], (b"date", date)]
                self._record(scope, message["status"])
            await send(message)

        # Whoever stops a client in the middle of a request has not asked anything, and made no mistake.
        with suppress(ClientDisconnect):
            await self._app(scope, receive, send_dated)

    def _record(self, scope: Scope, status: int | None) -> None:
        body = scope.get("state", {}).get("body")
        self._stage.record(scope["method"], scope["path"], body=body, status=status)
