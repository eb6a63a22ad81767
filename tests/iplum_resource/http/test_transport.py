"""Broken connections and unusable response bodies, over real sockets."""

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from iplum_resource.errors import (
    BadCertificate,
    BrokenJson,
    Interrupted,
    IPlumError,
    ResponseTooLarge,
    TimedOut,
    TlsFailed,
    Unreachable,
    UnreadableResponse,
)
from iplum_resource.window import Window
from tests.support.certificate import create_certificate
from tests.support.scripted_server import ScriptedServer, Step, drip, hang, respond, send, send_then_reset, write_head
from tests.support.window_requests import NARROW, RECORDS, WIDE, Clock, build_client

CHUNKED = {"Transfer-Encoding": "chunked"}
COMPLETE = write_head(200, length=len(RECORDS)) + RECORDS
BROKEN_CONNECTIONS = {
    "closed before headers": (send(b""), Interrupted),
    "reset before headers": (send_then_reset(b""), Interrupted),
    "reset in headers": (send_then_reset(b"HTTP/1.1 200 OK\r\nContent-Ty"), Interrupted),
    "not HTTP": (send(b"SSH-2.0-OpenSSH_9.6\r\n"), Interrupted),
    "headers too long": (send(b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000), Interrupted),
    "reset in body": (send_then_reset(COMPLETE[:-5]), Interrupted),
    "truncated body with a length": (send(COMPLETE[:-5]), Interrupted),
    "truncated body without a length": (send(write_head(200, length=None) + RECORDS[:-5]), BrokenJson),
    "truncated inside a chunk": (send(write_head(200, length=None, headers=CHUNKED) + b"9\r\n[1,"), Interrupted),
    "truncated between chunks": (send(write_head(200, length=None, headers=CHUNKED) + b"3\r\n[1]\r\n"), Interrupted),
    "truncated headers": (send(b"HTTP/1.1 200 OK\r\nContent-Ty"), BrokenJson),
    "not gzip": (respond(200, b"CANARY", {"Content-Encoding": "gzip"}), Interrupted),
    "truncated HTTP 400": (send(write_head(400, length=99) + b'{"errorCode'), Interrupted),
}


@pytest.mark.parametrize(("step", "kind"), BROKEN_CONNECTIONS.values(), ids=BROKEN_CONNECTIONS)
def test_a_broken_connection_is_retried(step: Step, kind: type[IPlumError]) -> None:
    clock = Clock()
    with ScriptedServer(step, step, respond(200, RECORDS)) as server, build_client(server.url, clock) as client:
        assert client.fetch_usage(WIDE, ["fax"]).body == RECORDS
    assert (len(server.received), clock.slept) == (3, [0.5, 1])
    with ScriptedServer(step) as server, build_client(server.url) as client:
        with pytest.raises(IPlumError) as caught:
            client.fetch_usage(WIDE, ["fax"])
        assert type(caught.value) is kind
        assert len(server.received) == 8


@pytest.mark.parametrize(
    ("body", "headers", "kind", "detail"),
    [
        (b"", {}, BrokenJson, "empty"),
        (b" \n", {}, BrokenJson, "empty"),
        (b"<html>CANARY</html>", {"Content-Type": "text/html"}, BrokenJson, "web page"),
        (b'["CANARY', {}, BrokenJson, "not JSON"),
        (b'[{"recordId": "a"}, {"CANARY', {}, BrokenJson, "not JSON"),
        (b'[{"recordId": "a", "CANARY"}]', {}, BrokenJson, "not JSON"),
        (b'["CANARY\xe9"]', {}, UnreadableResponse, "no element has a recordId"),
        (b"[CANARY\xe9]", {"Content-Type": "application/json; charset=nonsense"}, BrokenJson, "not JSON"),
        (b'{"errorCode": "ERR_X", "errorDescription": "CANARY"}', {}, UnreadableResponse, "object.*ERR_X"),
        (b'{"CANARY": []}', {}, UnreadableResponse, "an object instead"),
        (b'[{"data": [{"recordId": "CANARY"}]}]', {}, UnreadableResponse, "no element has a recordId"),
        (b'[[{"recordId": "CANARY"}]]', {}, UnreadableResponse, "no element has a recordId"),
        (b'[{"id": "CANARY"}, 5]', {}, UnreadableResponse, "no element has a recordId"),
        (b'[{"recordId": ""}]', {}, UnreadableResponse, "no element has a recordId"),
        (b"null", {}, UnreadableResponse, "null instead"),
        (b'"CANARY"', {}, UnreadableResponse, "a string instead"),
        (b"true", {}, UnreadableResponse, "true or false instead"),
        (b"4711", {}, UnreadableResponse, "a number instead"),
        (b"[" * 10_000 + b"]" * 10_000, {}, UnreadableResponse, "too deep"),
        (b'["\\ud83d",' + b"[" * 10_000 + b"]" * 10_001, {}, UnreadableResponse, "too deep"),
    ],
)
def test_a_200_without_an_array_of_records_is_an_error(
    body: bytes, headers: Mapping[str, str], kind: type[UnreadableResponse], detail: str
) -> None:
    with (
        ScriptedServer(respond(200, body, headers)) as server,
        build_client(server.url) as client,
        pytest.raises(UnreadableResponse, match=detail) as caught,
    ):
        client.fetch_usage(WIDE, ["fax"])
    assert type(caught.value) is kind
    assert len(server.received) == (8 if kind is BrokenJson else 1)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    "step",
    [
        respond(200, b"[" + b" " * 10_000 + b"]"),
        drip(write_head(200, length=None), b" " * 1000, every=0.001),
        respond(200, gzip.compress(b"[" + b" " * 10_000_000 + b"]"), {"Content-Encoding": "gzip"}),
        send(write_head(200, length=10**12)),
    ],
    ids=["with a length", "endless", "compressed", "length of 1 TB"],
)
def test_a_body_over_the_maximum_size_is_rejected_and_not_retried(step: Step) -> None:
    with (
        ScriptedServer(step) as server,
        build_client(server.url, max_body_bytes=9_999) as client,
        pytest.raises(ResponseTooLarge, match="9999 bytes"),
    ):
        client.fetch_usage(WIDE, ["fax"])
    assert len(server.received) == 1


def test_a_body_of_exactly_the_maximum_size_is_accepted() -> None:
    with (
        ScriptedServer(respond(200, RECORDS)) as server,
        build_client(server.url, max_body_bytes=len(RECORDS)) as client,
    ):
        assert client.fetch_usage(WIDE, ["fax"]).body == RECORDS


def test_a_server_that_sends_no_response_times_out() -> None:
    clock = Clock()
    with (
        ScriptedServer(hang) as server,
        build_client(server.url, clock, read_timeout=0.05) as client,
        pytest.raises(TimedOut, match="no response began"),
    ):
        client.fetch_usage(WIDE, ["fax"])
    assert clock.slept == [0.5, 1]


def test_a_body_that_stalls_times_out() -> None:
    with (
        ScriptedServer(drip(write_head(200, length=99), b"", every=60)) as server,
        build_client(server.url, read_timeout=0.05) as client,
        pytest.raises(TimedOut, match="in the middle"),
    ):
        client.fetch_usage(WIDE, ["fax"])


@pytest.mark.parametrize("framing", [{}, CHUNKED], ids=["plain", "chunked"])
def test_a_slowly_dripping_body_times_out_at_the_total_timeout(framing: Mapping[str, str]) -> None:
    ticks = iter(range(1000))
    chunk = b"1\r\n \r\n" if framing else b" "
    head = write_head(200, length=None, headers=framing)
    with (
        ScriptedServer(drip(head, chunk, every=0.001)) as server,
        # The clock advances one minute at each reading.
        build_client(server.url, monotonic=lambda: next(ticks) * 60, total_timeout=200) as client,
        pytest.raises(TimedOut, match="not complete after 200 s"),
    ):
        client.fetch_usage(WIDE, ["fax"])
    assert len(server.received) == 3


def test_a_slowly_dripping_body_times_out_on_the_real_clock() -> None:
    with (
        ScriptedServer(drip(write_head(200, length=10**6), b" ", every=0.01)) as server,
        build_client(server.url, monotonic=time.monotonic, total_timeout=0.1) as client,
        pytest.raises(TimedOut),
    ):
        client.fetch_usage(WIDE, ["fax"])


def _find_closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_slowly_dripping_headers_time_out_at_the_total_timeout() -> None:
    """Each byte arrives within the read timeout."""

    def drip(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not stop.wait(0.02):
            try:
                connection.sendall(b"x")
            except OSError:
                return

    with (
        ScriptedServer(drip) as server,
        build_client(server.url, monotonic=time.monotonic, total_timeout=0.3) as client,
        pytest.raises(TimedOut, match=r"no headers after 0\.3 s"),
    ):
        client.fetch_recordings(WIDE)


@pytest.mark.parametrize("window", [WIDE, NARROW])
def test_a_refused_connection_gets_three_attempts(window: Window) -> None:
    clock = Clock()
    with (
        build_client(f"http://127.0.0.1:{_find_closed_port()}", clock) as client,
        pytest.raises(Unreachable, match="connection refused"),
    ):
        client.fetch_usage(window, ["fax"])
    assert clock.slept == [0.5, 1]


def test_an_unknown_host_is_named_in_the_error() -> None:
    clock = Clock()
    with build_client("https://api.invalid", clock) as client, pytest.raises(Unreachable, match="host name"):
        client.fetch_usage(WIDE, ["fax"])
    assert clock.slept == [0.5, 1]


@pytest.mark.parametrize("host", ["a." * 200 + "invalid", "_.invalid", "xn--a.invalid", "-.invalid", "a-.invalid."])
def test_a_host_name_that_cannot_exist_is_not_found(host: str) -> None:
    with build_client(f"https://{host}") as client, pytest.raises(Unreachable, match="host name"):
        client.fetch_usage(WIDE, ["fax"])


@pytest.mark.parametrize("proxy", ["socks5://me:s3cret@127.0.0.1:9", "http://me:s3cret@:x", "http://me:s3cret@[bad"])
def test_an_unusable_proxy_is_named_in_the_error(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with build_client("https://api.invalid") as client, pytest.raises(Unreachable, match="HTTPS_PROXY") as caught:
        client.fetch_usage(WIDE, ["fax"])
    assert "s3cret" not in str(caught.value)


def test_an_unreachable_proxy_is_named_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{_find_closed_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with build_client("https://api.invalid") as client, pytest.raises(Unreachable, match="proxy"):
        client.fetch_usage(WIDE, ["fax"])


def test_a_server_without_tls_raises_tls_failed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def respond_in_plain_text() -> None:
            for _ in range(3):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1 << 16)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=respond_in_plain_text)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with build_client(url) as client, pytest.raises(TlsFailed):
            client.fetch_usage(WIDE, ["fax"])
        thread.join()


def test_a_missing_certificate_bundle_names_its_variable_and_not_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with build_client("https://api.invalid") as client, pytest.raises(TlsFailed, match="REQUESTS_CA_BUNDLE") as caught:
        client.fetch_usage(WIDE, ["fax"])
    assert "nowhere" not in str(caught.value)


def test_an_untrusted_certificate_fails_without_a_retry(tmp_path: Path) -> None:
    tls = create_certificate(tmp_path, "localhost").context
    clock, handshakes = Clock(), []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            handshakes.append(connection)
            with connection, pytest.raises(ssl.SSLError):
                tls.wrap_socket(connection, server_side=True).recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with build_client(url, clock) as client, pytest.raises(BadCertificate, match=r"self.signed"):
            client.fetch_usage(WIDE, ["fax"])
        thread.join()
    assert (len(handshakes), clock.slept) == (1, [])
