"""The receiver's HTTP application: an event is committed and synced before it is acknowledged.

iPlum does not sign callbacks, so the token in the path authenticates them (docs/design.md, "Callbacks"). No path,
body or number is logged.
"""

import asyncio
import hmac
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from iplum_resource.callbacks import CallbackKind, parse_callback
from iplum_resource.errors import UnreadableCallback
from pipelines.clock import Clock
from pipelines.receiver.group_commit import GroupCommit, Overloaded
from warehouse.errors import WarehouseError
from warehouse.raw.inbox import Event, Inbox
from warehouse.raw.lenient_json import parse_json

MAX_BODY = 1_000_000
_HEALTH_SECONDS = 1.8
_DATASETS: dict[CallbackKind, str] = {"usage": "usage_callbacks", "recordings": "recording_callbacks"}
_log = logging.getLogger("iplum.receiver")


@dataclass(frozen=True, kw_only=True)
class Mailbox:
    """The account of callbacks with `token` in their path; `keep_content` stores message texts."""

    account: str
    token: str = field(repr=False)
    keep_content: bool


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """The inbox, the mailbox of each account, and a clock that returns aware UTC."""

    inbox: Inbox
    mailboxes: Sequence[Mailbox]
    clock: Clock

    def find_mailbox(self, token: str) -> Mailbox | None:
        """Return the mailbox of a token, in constant time."""
        matching = [box for box in self.mailboxes if hmac.compare_digest(token.encode(), box.token.encode())]
        return matching[0] if matching else None


def create_app(receiver: Receiver) -> Starlette:
    """Build the receiver as an ASGI application for one worker process."""
    commit = GroupCommit(receiver.inbox.append)
    routes = [
        Route(f"/callbacks/{{token}}/{kind}", partial(_receive, receiver, commit, kind), methods=["POST"])
        for kind in _DATASETS
    ]
    routes.append(Route("/healthz", partial(_report_health, HealthProbe(receiver.inbox, commit)), methods=["GET"]))
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return app


async def _receive(receiver: Receiver, commit: GroupCommit, kind: CallbackKind, request: Request) -> Response:
    mailbox = receiver.find_mailbox(request.path_params["token"])
    if mailbox is None:
        return _build_error(HTTPStatus.NOT_FOUND, "not found")
    try:
        body = await _read_body(request)
        if body is None:
            return _build_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BODY} bytes")
        records = parse_callback(body, kind, parse_json=parse_json)
        now = receiver.clock()
        events = [
            Event(
                account=mailbox.account,
                dataset=_DATASETS[kind],
                received_at=now,
                body=record.body,
                content=record.content if mailbox.keep_content else None,
            )
            for record in records
        ]
        if events:
            await commit.put(events)
    except UnreadableCallback as error:
        return _build_error(HTTPStatus.BAD_REQUEST, str(error))
    except Overloaded:
        return _build_error(HTTPStatus.SERVICE_UNAVAILABLE, "too many events are waiting; try again later")
    except WarehouseError as error:
        _log.error("%d callback records were not stored and not acknowledged: %s", len(records), error)
        return _build_error(HTTPStatus.SERVICE_UNAVAILABLE, "cannot store events at present; try again later")
    except ClientDisconnect:
        return Response(status_code=HTTPStatus.BAD_REQUEST)
    return JSONResponse({"accepted": len(events)})


async def _read_body(request: Request) -> bytes | None:
    """Read a body up to the maximum size; None for a larger one, of which no more is read."""
    content_length = request.headers.get("content-length", "0")
    if content_length.isdecimal() and int(content_length) > MAX_BODY:
        return None
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


class HealthProbe:
    """A check that events can be stored: it commits an empty batch through their queue.

    Concurrent health requests share one check.
    """

    def __init__(self, inbox: Inbox, commit: GroupCommit) -> None:
        self._inbox = inbox
        self._commit = commit
        self._running: asyncio.Task[int] | None = None

    async def count_pending(self) -> int:
        """Write a probe and return the number of pending events.

        Raises `WarehouseError`, `Overloaded`, and `TimeoutError` while the inbox does not respond.
        """
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
            # Its error may be reported after the time-out, when no request waits for it.
            self._running.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.wait_for(asyncio.shield(self._running), _HEALTH_SECONDS)

    async def _run(self) -> int:
        await self._commit.put([])
        return await asyncio.to_thread(self._inbox.count_pending)


async def _report_health(probe: HealthProbe, request: Request) -> Response:  # noqa: ARG001 a route's signature
    """Report whether an event can be stored now."""
    try:
        pending = await probe.count_pending()
    except (WarehouseError, Overloaded, TimeoutError):
        return JSONResponse({"status": "events cannot be stored"}, HTTPStatus.SERVICE_UNAVAILABLE)
    return JSONResponse({"status": "ok", "waiting": pending})


def _build_error(status: HTTPStatus, reason: str) -> Response:
    return JSONResponse({"error": reason}, status)
