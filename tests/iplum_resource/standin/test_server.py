"""The stand-in as a process and as a thread: start, address, output and shutdown."""

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
def test_served_in_the_foreground_until_a_signal(number: signal.Signals) -> None:
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


def test_an_address_that_is_taken_is_an_error_of_the_caller() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError):
        serve(Options(), port=taken.getsockname()[1])


def test_the_thread_and_the_port_are_gone_afterwards() -> None:
    before = threading.active_count()
    with running(Options()) as standin:
        assert standin.url == f"http://{standin.media_host}"
        assert call(standin, USAGE, BODY).status_code == 200
    assert not any(thread.name == "standin" for thread in threading.enumerate())
    assert threading.active_count() <= before
    with pytest.raises(requests.ConnectionError):
        requests.get(standin.url, timeout=5)


def test_requests_are_written_down_without_their_credentials() -> None:
    with running(Options()) as standin:
        call(standin, USAGE, BODY)
        call(standin, RECORDINGS, b"{")
        requests.get(f"{standin.url}/media/x.mp3", timeout=20)
        seen = [(request.method, request.path, request.body, request.status) for request in standin.requests]
        times = [request.at for request in standin.requests]
        text = repr(standin.requests) + repr(standin.options)
    assert seen == [("POST", USAGE, BODY, 200), ("POST", RECORDINGS, None, 400), ("GET", "/media/x.mp3", None, 404)]
    assert times == sorted(times)
    assert "standin-secret" not in text
    assert "STANDINACCESSKEY" not in text


def test_many_at_once_are_all_answered_and_all_written_down() -> None:
    with running(Options(rows_per_day=200)) as standin:
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: call(standin, USAGE, BODY).content, range(64)))
        assert len(set(answers)) == 1
        assert len(standin.requests) == 64


def test_options_can_change_between_two_requests_of_one_connection() -> None:
    with running(Options()) as standin, requests.Session() as session:

        def ask() -> int:
            headers = build_headers(standin.options, USAGE)
            return session.post(standin.url + USAGE, json=BODY, headers=headers, timeout=20).status_code

        assert ask() == 200
        standin.options = Options(usage_permission=False)
        assert ask() == 403
        standin.options = Options(secret_key="another")
        assert ask() == 200


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with running(Options(reset_first=1, cut_first=1)) as standin:
        for _ in range(2):
            with pytest.raises(requests.RequestException):
                call(standin, USAGE, BODY)
        call(standin, USAGE, BODY)
    own = [record for record in caplog.records if record.name.startswith(("uvicorn.access", "iplum_resource"))]
    assert own == []
    assert not any(record.levelno >= logging.WARNING for record in caplog.records)
    assert "iPlumAuth" not in caplog.text
    assert "StartDate" not in caplog.text


def test_a_client_that_goes_away_in_the_middle_of_its_request_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with running(Options()) as standin:
        host, port = standin.media_host.split(":")
        with socket.create_connection((host, int(port))) as client:
            # Who waits for 100 Continue is told so once the body is asked for: only then does it go away.
            lines = (f"POST {USAGE} HTTP/1.1", f"Host: {host}", "Content-Length: 99", "Expect: 100-continue", "", "{")
            client.sendall("\r\n".join(lines).encode())
            assert client.recv(100).startswith(b"HTTP/1.1 100")
        assert call(standin, USAGE, BODY).status_code == 200
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_the_application_can_be_had_without_the_server() -> None:
    app = create_app(Options())
    assert isinstance(app, Starlette)
    assert [getattr(route, "path", None) for route in app.routes] == [
        "/usage/getusage",
        "/usage/getcontent",
        "/callrecordings/getrecordings",
        "/callrecordings/getrecordingfile",
        "/media/{name}",
    ]
