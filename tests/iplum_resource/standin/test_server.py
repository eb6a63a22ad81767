"""The stand-in server in a process and in a thread: startup, address, request log and shutdown."""

import logging
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from starlette.applications import Starlette

from iplum_resource.standin.application import create_app
from iplum_resource.standin.options import Options
from iplum_resource.standin.server import running, serve
from tests.iplum_resource.standin.test_signing import RECORDINGS, USAGE, WINDOW, build_headers, call

BODY = {"Usage": "fax", **WINDOW}
PROGRAM = (
    "from iplum_resource.standin.options import Options; from iplum_resource.standin.server import serve; "
    "serve(Options(), port=0)"
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_runs_in_the_foreground_until_a_signal(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        headers = build_headers(Options(), USAGE)
        assert requests.post(url + USAGE, json=BODY, headers=headers, timeout=20).status_code == 200
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (0, "", "")


def test_a_port_in_use_raises_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError):
        serve(Options(), port=taken.getsockname()[1])


def test_the_thread_and_the_port_are_released_at_the_end() -> None:
    before = threading.active_count()
    with running(Options()) as standin:
        assert standin.url == f"http://{standin.media_host}"
        assert call(standin, USAGE, BODY).status_code == 200
    assert not any(thread.name == "standin" for thread in threading.enumerate())
    assert threading.active_count() <= before
    with pytest.raises(requests.ConnectionError):
        requests.get(standin.url, timeout=5)


def test_requests_are_recorded_without_their_credentials() -> None:
    with running(Options()) as standin:
        call(standin, USAGE, BODY)
        call(standin, RECORDINGS, b"{")
        requests.get(f"{standin.url}/media/x.mp3", timeout=20)
        recorded = [(request.method, request.path, request.body, request.status) for request in standin.requests]
        times = [request.at for request in standin.requests]
        text = repr(standin.requests) + repr(standin.options)
    assert recorded == [("POST", USAGE, BODY, 200), ("POST", RECORDINGS, None, 400), ("GET", "/media/x.mp3", None, 404)]
    assert times == sorted(times)
    assert "standin-secret" not in text
    assert "STANDINACCESSKEY" not in text


def test_concurrent_requests_all_get_a_response_and_are_all_recorded() -> None:
    with running(Options(rows_per_day=200)) as standin:
        with ThreadPoolExecutor(16) as pool:
            responses = list(pool.map(lambda _: call(standin, USAGE, BODY).content, range(64)))
        assert len(set(responses)) == 1
        assert len(standin.requests) == 64


def test_options_can_change_between_two_requests_on_one_connection() -> None:
    with running(Options()) as standin, requests.Session() as session:

        def fetch_status() -> int:
            headers = build_headers(standin.options, USAGE)
            return session.post(standin.url + USAGE, json=BODY, headers=headers, timeout=20).status_code

        assert fetch_status() == 200
        standin.options = Options(usage_permission=False)
        assert fetch_status() == 403
        standin.options = Options(secret_key="another")
        assert fetch_status() == 200


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with running(Options(reset_first=1, cut_first=1)) as standin:
        for _ in range(2):
            with pytest.raises(requests.RequestException):
                call(standin, USAGE, BODY)
        call(standin, USAGE, BODY)
    own_records = [record for record in caplog.records if record.name.startswith(("uvicorn.access", "iplum_resource"))]
    assert own_records == []
    assert not any(record.levelno >= logging.WARNING for record in caplog.records)
    assert "iPlumAuth" not in caplog.text
    assert "StartDate" not in caplog.text


def test_a_client_that_disconnects_during_its_request_logs_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    with running(Options()) as standin:
        host, port = standin.media_host.split(":")
        with socket.create_connection((host, int(port))) as client:
            # The server sends "100 Continue" when it starts to read the body: the client disconnects after that.
            lines = (f"POST {USAGE} HTTP/1.1", f"Host: {host}", "Content-Length: 99", "Expect: 100-continue", "", "{")
            client.sendall("\r\n".join(lines).encode())
            assert client.recv(100).startswith(b"HTTP/1.1 100")
        assert call(standin, USAGE, BODY).status_code == 200
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_create_app_returns_the_application_without_a_server() -> None:
    app = create_app(Options())
    assert isinstance(app, Starlette)
    assert [getattr(route, "path", None) for route in app.routes] == [
        "/usage/getusage",
        "/usage/getcontent",
        "/callrecordings/getrecordings",
        "/callrecordings/getrecordingfile",
        "/media/{name}",
    ]
