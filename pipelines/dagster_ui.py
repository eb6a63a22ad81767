"""Dagster's web server with a check of each request, so that no web page can use it through a browser.

`python -m pipelines.dagster_ui` takes the options of `dagster-webserver`; with `dev` first, those of `dagster dev`,
which then starts this server.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from dagster_webserver import app, cli
from dagster_webserver.webserver import DagsterWebserver
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from iplum_resource.http.url_rules import is_loopback_host
from pipelines.settings import SettingsError, find_home, load_accounts, read_environment

_MODULE = "pipelines.dagster_ui"
_READING = {"GET", "HEAD", "OPTIONS"}
_POLICY_VIOLATION = 1008
_OTHER_PAGE = "another web page sent it"


class RequestGuard:
    """ASGI middleware that refuses requests that another web page sent, or that reached this server by another name.

    Args:
        app: The web server's application.
        hosts: Names of a proxy, lower case, with the port if it is not the default. Loopback names are always allowed.

    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with HTTP 403."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        problem = find_problem(HTTPConnection(scope), self._hosts)
        if not problem:
            await self._app(scope, receive, _forbid_frames(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            await PlainTextResponse(f"Request refused: {problem}.\n", status_code=403)(scope, receive, send)


def find_problem(request: HTTPConnection, hosts: frozenset[str]) -> str:
    """Return why a request is refused, or an empty string.

    A page on another site can send requests to a loopback address: without reading the response, or, after pointing
    its own name to 127.0.0.1, with it. Browsers name the page in Origin and Sec-Fetch-Site, and the name in Host. They
    ask first before they send JSON to another site.
    """
    own = request.headers.getlist("host")
    if len(own) != 1 or not _is_own_host(own[0], hosts):
        return "its Host is not this machine. Open the UI as localhost, or add the name of your proxy to IPLUM_UI_HOSTS"
    if not all(_is_own_origin(origin, own[0], hosts) for origin in request.headers.getlist("origin")):
        return _OTHER_PAGE
    method = request.scope.get("method", "GET")
    is_from_elsewhere = request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}
    if is_from_elsewhere and not (method in _READING and _opens_page(request)):
        return _OTHER_PAGE
    if method not in _READING and _get_media_type(request) != "application/json":
        return "its Content-Type is not application/json"
    if method in _READING and request.scope["path"].endswith("/graphql") and "query" in request.query_params:
        return "GraphQL queries must be sent with POST"
    return ""


def _is_own_host(host: str, hosts: frozenset[str]) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return "@" not in host and (is_loopback_host(name) or host.lower() in hosts)


def _is_own_origin(origin: str, host: str, hosts: frozenset[str]) -> bool:
    scheme, _, name = origin.lower().partition("://")
    return scheme in {"http", "https"} and (name == host.lower() or name in hosts)


def _opens_page(request: HTTPConnection) -> bool:
    """Whether the browser opens the UI in a tab, as after a click on a link in a mail."""
    return (request.headers.get("sec-fetch-mode"), request.headers.get("sec-fetch-dest")) == ("navigate", "document")


def _get_media_type(request: HTTPConnection) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _forbid_frames(send: Send) -> Send:
    """Forbid other pages to show the UI in a frame, where they could catch clicks."""

    async def send_with_header(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["X-Frame-Options"] = "SAMEORIGIN"
        await send(message)

    return send_with_header


class _GuardedWebserver(DagsterWebserver[Any, Any]):
    """Dagster's web server behind `RequestGuard`."""

    hosts: frozenset[str] = frozenset()

    def build_middleware(self) -> list[Middleware]:
        return [Middleware(RequestGuard, hosts=self.hosts), *super().build_middleware()]


def _run_dev(arguments: Sequence[str]) -> None:
    """Run `dagster dev`, which then starts this module as its web server."""
    # `dagster dev` starts a fixed module, and no public name reaches it.
    dev: Any = import_module("dagster._cli.dev")
    start = dev.open_ipc_subprocess

    def start_guarded(parts: Sequence[str], **options: Any) -> Any:
        return start([_MODULE if part == "dagster_webserver" else part for part in parts], **options)

    dev.open_ipc_subprocess = start_guarded
    dev.dev_command(list(arguments), prog_name="dagster dev")


def main() -> None:
    """Run `dagster dev` or the web server with the remaining arguments."""
    try:
        home = find_home(os.environ).path
        accounts = load_accounts(read_environment(os.environ, home), home)
    except SettingsError as error:
        sys.exit(f"error: {error}")
    # tests/pipelines/test_dagster_ui.py fails if a new version of Dagster starts its web server differently.
    if sys.argv[1:2] == ["dev"]:
        _run_dev(sys.argv[2:])
    else:
        _GuardedWebserver.hosts = accounts[0].ui_hosts
        app.DagsterWebserver = _GuardedWebserver  # type: ignore[attr-defined]
        cli.main()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
