"""Requests to the Dagster UI: no other web page can use it through a browser."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.requests import HTTPConnection
from starlette.types import Message, Scope

from pipelines.dagster_home import build_ui_environment, prepare_dagster_home
from pipelines.dagster_ui import RequestGuard, find_problem
from pipelines.settings import PROJECT, load_settings

PROXY = frozenset({"dagster.clinic.example"})
OWN = {"host": "localhost:3000", "content-type": "application/json"}
CROSS = {"sec-fetch-site": "cross-site"}
TAB = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def build_request(
    headers: Mapping[str, str], *, method: str = "POST", path: str = "/graphql", query: str = "", kind: str = "http"
) -> HTTPConnection:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope: Scope = {"type": kind, "path": path, "query_string": query.encode(), "headers": encoded}
    return HTTPConnection({**scope, "method": method} if kind == "http" else scope)


@pytest.mark.parametrize(
    "headers",
    [
        OWN,
        {**OWN, "host": "127.0.0.1:3000", "origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-origin"},
        {**OWN, "host": "[::1]:3000", "origin": "http://[::1]:3000"},
        {**OWN, "host": "LOCALHOST:4000", "origin": "http://localhost:4000"},
        {**OWN, "host": "dagster.clinic.example", "origin": "https://dagster.clinic.example"},
        {**OWN, "host": "127.0.0.1:3000", "origin": "https://dagster.clinic.example", "sec-fetch-site": "same-origin"},
        {**OWN, "content-type": "Application/JSON; charset=utf-8"},
    ],
)
def test_requests_of_the_ui_and_of_programs_are_accepted(headers: Mapping[str, str]) -> None:
    assert find_problem(build_request(headers), PROXY) == ""
    assert find_problem(build_request(headers, kind="websocket"), PROXY) == ""


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({}, "Host"),
        ({**OWN, "host": "evil.example:3000"}, "Host"),
        ({**OWN, "host": "127.0.0.1.evil.example"}, "Host"),
        ({**OWN, "host": "localhost@evil.example"}, "Host"),
        ({**OWN, "host": "[::1"}, "Host"),
        ({**OWN, "host": ""}, "Host"),
        ({**OWN, "host": "dagster.clinic.example:81"}, "Host"),
        ({**OWN, "origin": "https://evil.example"}, "another web page"),
        ({**OWN, "origin": "null"}, "another web page"),
        ({**OWN, "origin": ""}, "another web page"),
        ({**OWN, "origin": "http://localhost:8888"}, "another web page"),
        ({**OWN, "origin": "http://localhost:3000.evil.example"}, "another web page"),
        ({**OWN, "origin": "chrome-extension://localhost:3000"}, "another web page"),
        ({**OWN, **CROSS}, "another web page"),
        ({**OWN, **CROSS, **TAB}, "another web page"),
        ({**OWN, "sec-fetch-site": "same-site"}, "another web page"),
    ],
)
def test_requests_of_other_pages_are_refused(headers: Mapping[str, str], problem: str) -> None:
    assert problem in find_problem(build_request(headers), PROXY)
    if headers.get("sec-fetch-mode") != "navigate":
        assert problem in find_problem(build_request(headers, kind="websocket"), PROXY)
        assert problem in find_problem(build_request(headers, method="GET", path="/runs"), PROXY)


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "text/plain; x=application/json", "application/x-www-form-urlencoded", "application/graphql"],
)
def test_only_json_is_accepted(content_type: str) -> None:
    """Browsers send other types to another site without asking it first."""
    for path in ("/graphql", "/report_asset_materialization/usage"):
        request = build_request({**OWN, "content-type": content_type}, path=path)
        assert "Content-Type" in find_problem(request, PROXY)


def test_a_link_opens_the_ui_but_sends_no_query_and_no_frame_shows_it() -> None:
    link = {"host": "localhost:3000", **CROSS, **TAB}
    assert find_problem(build_request(link, method="GET", path="/runs"), PROXY) == ""
    assert find_problem(build_request(link, method="GET", path="/graphql"), PROXY) == ""
    sent = build_request(link, method="GET", path="/graphql", query="query=mutation{x}")
    assert "POST" in find_problem(sent, PROXY)
    framed = {**link, "sec-fetch-dest": "iframe"}
    assert "another web page" in find_problem(build_request(framed, method="GET", path="/runs"), PROXY)


def test_two_hosts_are_refused() -> None:
    request = build_request(OWN)
    request.scope["headers"].append((b"host", b"localhost"))
    assert "Host" in find_problem(HTTPConnection(request.scope), PROXY)


def test_a_refused_websocket_is_closed_before_it_opens() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def never(*_: object) -> Any:
        pytest.fail("the application was called")

    request = build_request({**OWN, "origin": "https://evil.example"}, kind="websocket")
    asyncio.run(RequestGuard(never, PROXY)(request.scope, never, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_a_read_only_ui_refuses_other_pages_and_changes(tmp_path: Path) -> None:
    environ = {**os.environ, "IPLUM_DATA": str(tmp_path / "data")}
    home = prepare_dagster_home(load_settings(environ, PROJECT))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    workspace = ["-w", str(PROJECT / "workspace.yaml"), "-p", str(port)]
    command = [sys.executable, "-m", "pipelines.dagster_ui", "--read-only", *workspace]
    with serving(command, environ, home, port) as url:
        assert_only_own_pages_are_served(url)
        mutation = {"query": "mutation { wipeAssets(assetPartitionRanges: []) { __typename } }"}
        done = requests.post(f"{url}/graphql", json=mutation, timeout=60).json()["data"]["wipeAssets"]
        assert done == {"__typename": "UnauthorizedError"}, "the server is read-only"


@contextmanager
def serving(command: list[str], environ: Mapping[str, str], home: Path, port: int) -> Iterator[str]:
    """Run the UI until its web server responds, and end it afterwards."""
    with (home / "output.txt").open("w") as output:
        process = subprocess.Popen(
            command, cwd=home, env=build_ui_environment(environ, home), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        for _ in range(600):
            assert process.poll() is None, (home / "output.txt").read_text()
            try:
                requests.get(f"http://127.0.0.1:{port}/server_info", timeout=5)
                break
            except requests.ConnectionError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=60)


def assert_only_own_pages_are_served(url: str) -> None:
    """Send requests of the UI, and requests of another web page, which must be refused."""
    query = {"query": "{ instance { hasInfo } }"}
    assert requests.post(f"{url}/graphql", json=query, timeout=60).json()["data"]["instance"]
    page = requests.get(f"{url}/runs", headers={"Accept": "text/html"}, timeout=60)
    assert (page.status_code, page.headers["X-Frame-Options"]) == (200, "SAMEORIGIN")
    port = url.rpartition(":")[2]
    refused = [
        requests.post(f"{url}/graphql", json=query, headers={"Origin": "https://evil.example"}, timeout=60),
        requests.post(f"{url}/graphql", json=query, headers={"Host": f"evil.example:{port}"}, timeout=60),
        requests.post(f"{url}/graphql", params=query, data="x", headers={"Content-Type": "text/plain"}, timeout=60),
        requests.post(f"{url}/graphql", data=json.dumps(query), timeout=60),
        requests.get(f"{url}/graphql", params=query, timeout=60),
    ]
    assert [response.status_code for response in refused] == [403] * 5
    assert "Request refused: another web page sent it." in refused[0].text
    handshake = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    handshake["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    opened = requests.get(f"{url}/graphql", headers={**handshake, "Origin": url}, timeout=60, stream=True)
    assert opened.status_code == 101
    opened.close()
    foreign = requests.get(f"{url}/graphql", headers={**handshake, "Origin": "https://evil.example"}, timeout=60)
    assert foreign.status_code == 403
