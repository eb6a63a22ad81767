"""The receiver: what iPlum pushes is in the inbox, on the disk, before it is told so.

Callbacks carry no signature (DESIGN 13), so the token in the path is all that tells iPlum from a stranger. Nothing
here writes a path, a body or a number to a log.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from iplum_resource.callbacks import CallbackKind, parse_callback
from iplum_resource.errors import UnreadableCallback
from pipelines.receiver.group_commit import GroupCommit, Overloaded
from warehouse.errors import WarehouseError
from warehouse.raw.inbox import Event, Inbox

LARGEST_BODY = 1_000_000
_DATASETS: dict[CallbackKind, str] = {"usage": "usage_callbacks", "recordings": "recording_callbacks"}
_log = logging.getLogger("iplum.receiver")


@dataclass(frozen=True, kw_only=True)
class Mailbox:
    """What is pushed with `token` in its path is of `account`; `keep_content` keeps the words of texts."""

    account: str
    token: str = field(repr=False)
    keep_content: bool


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """What a request is judged by: one mailbox an account; `clock` gives aware UTC."""

    inbox: Inbox
    mailboxes: Sequence[Mailbox]
    clock: Callable[[], datetime]

    def find_mailbox(self, token: str) -> Mailbox | None:
        """Tell whose token it is; it takes the same time whether the first fits, the last, or none."""
        fitting = [box for box in self.mailboxes if hmac.compare_digest(token.encode(), box.token.encode())]
        return fitting[0] if fitting else None


def create_app(receiver: Receiver) -> Starlette:
    """Make the receiver as an ASGI application for one worker process."""
    commit = GroupCommit(receiver.inbox.append)
    routes = [
        Route(f"/callbacks/{{token}}/{kind}", partial(_receive, receiver, commit, kind), methods=["POST"])
        for kind in _DATASETS
    ]
    routes.append(Route("/healthz", partial(_tell_health, receiver), methods=["GET"]))
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return app


async def _receive(receiver: Receiver, commit: GroupCommit, kind: CallbackKind, request: Request) -> Response:
    mailbox = receiver.find_mailbox(request.path_params["token"])
    if mailbox is None:
        return _answer(HTTPStatus.NOT_FOUND, "not found")
    try:
        body = await _read_body(request)
        if body is None:
            return _answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {LARGEST_BODY} bytes")
        records = parse_callback(body, kind)
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
        return _answer(HTTPStatus.BAD_REQUEST, str(error))
    except Overloaded:
        return _answer(HTTPStatus.SERVICE_UNAVAILABLE, "too much is waiting; come again later")
    except WarehouseError as error:
        _log.error("%d pushed records were not kept, and not acknowledged: %s", len(records), error)
        return _answer(HTTPStatus.SERVICE_UNAVAILABLE, "can't be kept at present; come again later")
    except ClientDisconnect:
        return Response(status_code=HTTPStatus.BAD_REQUEST)
    return JSONResponse({"accepted": len(events)})


async def _read_body(request: Request) -> bytes | None:
    """Read a body up to the cap; None for one beyond it, of which no more is read than that."""
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > LARGEST_BODY:
        return None
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > LARGEST_BODY:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _tell_health(receiver: Receiver, request: Request) -> Response:  # noqa: ARG001 a route's signature
    """Say whether the inbox can be reached; Starlette runs this in a thread."""
    try:
        waiting = receiver.inbox.count_pending()
    except WarehouseError:
        return JSONResponse({"status": "the inbox can't be reached"}, HTTPStatus.SERVICE_UNAVAILABLE)
    return JSONResponse({"status": "ok", "waiting": waiting})


def _answer(status: HTTPStatus, reason: str) -> Response:
    return JSONResponse({"error": reason}, status)
