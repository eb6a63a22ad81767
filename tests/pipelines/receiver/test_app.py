"""The callback receiver over real HTTP: responses, stored events, and values that are never logged."""

import json
import os
import random
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from pipelines import cli
from pipelines.receiver.app import MAX_BODY
from tests.support.callbacks import TOKEN, RunningReceiver, run_receiver, usage_event

START = "2026-03-01T12:00:00Z"


def build_environ(path: Path, **changes: str) -> dict[str, str]:
    unrelated = {name: value for name, value in os.environ.items() if not name.startswith("IPLUM_")}
    return {**unrelated, "IPLUM_DATA": str(path), "IPLUM_CALLBACK_TOKEN": TOKEN, **changes}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("receiver") / "data"


@pytest.fixture(scope="module")
def receiver(folder: Path) -> Iterator[RunningReceiver]:
    with run_receiver(build_environ(folder)) as running:
        yield running


def read_inbox(folder: Path) -> list[tuple[str, str, bytes | None]]:
    with sqlite3.connect(folder / "inbox.sqlite") as connection:
        rows = connection.execute("SELECT dataset, body, content FROM callback_events ORDER BY event_id").fetchall()
    connection.close()
    return [(dataset, json.loads(body)["recordId"], content) for dataset, body, content in rows]


def test_a_record_and_an_array_are_stored_before_the_response(receiver: RunningReceiver, folder: Path) -> None:
    before = len(read_inbox(folder))
    assert receiver.push(usage_event("one", START)).json() == {"accepted": 1}
    assert receiver.push([usage_event("two", START), usage_event("three", START)]).json() == {"accepted": 2}
    assert receiver.push({"recordId": "four", "content": "http://media.example/x"}, "recordings").status_code == 200
    assert receiver.push([]).json() == {"accepted": 0}
    assert read_inbox(folder)[before:] == [
        ("usage_callbacks", "one", None),
        ("usage_callbacks", "two", None),
        ("usage_callbacks", "three", None),
        ("recording_callbacks", "four", None),
    ]
    health = requests.get(f"{receiver.url}/healthz", timeout=30)
    assert (health.status_code, health.json()) == (200, {"status": "ok", "waiting": before + 4})


@pytest.mark.parametrize(
    ("body", "kind", "token", "status"),
    [
        (b"nonsense", "usage", TOKEN, 400),
        (b"{}", "usage", TOKEN, 400),
        (b'[{"recordId": "kept"}, {"no": "id"}]', "usage", TOKEN, 400),
        (b'{"recordId": "x"}', "usage", "wrong", 404),
        (b'{"recordId": "x"}', "usage", TOKEN[:-1], 404),
        (b'{"recordId": "x"}', "usage", f"{TOKEN}%00", 404),
        (b'{"recordId": "x"}', "usage", "%F0%9F%99%8F", 404),
        (b'{"recordId": "x"}', "faxes", TOKEN, 404),
        (b"[" + b" " * MAX_BODY + b"]", "usage", TOKEN, 413),
    ],
)
def test_an_invalid_request_is_rejected_and_not_stored(
    receiver: RunningReceiver, folder: Path, body: bytes, kind: str, token: str, status: int
) -> None:
    before = read_inbox(folder)
    assert receiver.push(body, kind, token).status_code == status
    assert read_inbox(folder) == before


def test_a_body_without_a_length_is_limited_in_size(receiver: RunningReceiver) -> None:
    chunks = (b" " * 100_000 for _ in range(20))
    url = f"{receiver.url}/callbacks/{TOKEN}/usage"
    with suppress(requests.ConnectionError):  # the receiver may close the connection while the client sends
        assert requests.post(url, data=chunks, timeout=30).status_code == 413
    assert receiver.push(usage_event("after", START)).status_code == 200


def test_malformed_requests_store_nothing_and_do_not_stop_the_receiver(receiver: RunningReceiver, folder: Path) -> None:
    """Send 300 requests with random invalid parts, from a fixed seed."""
    rng = random.Random(6)
    paths = ["", "/", "//", "/healthz", "/callbacks", f"/callbacks/{TOKEN}", f"/callbacks/{TOKEN}/usage",
             f"/callbacks/{TOKEN}/usage/", f"/callbacks/{TOKEN}/../{TOKEN}/usage", "/%00", "/%ff%fe",
             "/" + "a" * 9000, f"/callbacks/{TOKEN}/recordings?x=%0d%0a", "/callbacks/%2e%2e/usage"]  # fmt: skip
    methods = ["POST", "POST", "POST", "GET", "HEAD", "PUT", "OPTIONS", "TRACE", "BREW"]
    bodies = [b"", b"null", b"[[]]", b"[" * 50_000, b'{"recordId": ' + b"9" * 5_000, b"\xff\xfe",
              b"\x00" * 999, b'{"recordId": {"a": 1}}', b'{"recordId": "\\ud800"}', b'"x"', b"--b\r\n",
              b"a=1&b=2"]  # fmt: skip
    types = ["", "application/json", "application/json; charset=utf-16", "multipart/form-data; boundary=b", "\t;;"]
    framings = ["length", "chunked", "short", "bad chunk", "both", "none"]
    before = read_inbox(folder)
    for _ in range(300):
        framing, body = rng.choice(framings), rng.choice(bodies)
        head = f"{rng.choice(methods)} {rng.choice(paths)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        head += f"Content-Type: {rng.choice(types)}\r\n"
        send_raw(receiver, head.encode(), body, framing)
    assert read_inbox(folder) == before
    assert receiver.push(usage_event("after-all", START)).status_code == 200
    assert receiver.process.poll() is None


def send_raw(receiver: RunningReceiver, head: bytes, body: bytes, framing: str) -> None:
    """Send an unvalidated request, and read until the receiver closes the connection."""
    chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n"
    framed = {
        "length": f"Content-Length: {len(body)}\r\n\r\n".encode() + body,
        "chunked": b"Transfer-Encoding: chunked\r\n\r\n" + (chunk if body else b"") + b"0\r\n\r\n",
        "short": f"Content-Length: {len(body) + 5}\r\n\r\n".encode() + body,
        "bad chunk": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + body,
        "both": f"Content-Length: {len(body)}\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + chunk,
        "none": b"\r\n" + body,
    }[framing]
    host, _, port = receiver.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection, suppress(ConnectionError):
        connection.sendall(head + framed)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_are_a_405(receiver: RunningReceiver, method: str) -> None:
    url = f"{receiver.url}/callbacks/{TOKEN}/usage"
    assert requests.request(method, url, timeout=30).status_code == 405


def test_the_receiver_exits_with_0_and_logs_no_data_of_callbacks(tmp_path: Path) -> None:
    with run_receiver(build_environ(tmp_path)) as running:
        running.push(usage_event("secret-id", START, content="secret words"))
        running.push(b'{"from": "+14085550100"', "usage")
        running.push(usage_event("secret-id", START), token="a-wrong-token-of-a-client")
        assert running.stop() == 0
    for secret in (TOKEN, "secret", "5550100", "a-wrong-token", "/callbacks/"):
        assert secret not in running.output


def test_message_texts_are_stored_if_keep_content_is_true(tmp_path: Path) -> None:
    with run_receiver(build_environ(tmp_path, IPLUM_KEEP_CONTENT="true")) as running:
        running.push(usage_event("one", START))
    assert read_inbox(tmp_path) == [("usage_callbacks", "one", b"Hello")]


def test_a_callback_that_cannot_be_stored_is_a_503(tmp_path: Path) -> None:
    with run_receiver(build_environ(tmp_path)) as running:
        with sqlite3.connect(tmp_path / "inbox.sqlite") as connection:
            connection.execute("DROP TABLE callback_events")
        connection.close()
        response = running.push(usage_event("one", START))
        assert response.status_code == 503
        assert requests.get(f"{running.url}/healthz", timeout=30).status_code == 503
        running.stop()
    assert "1 callback records were not stored" in running.output
    assert TOKEN not in running.output


@pytest.mark.parametrize("token", ["", "short", "fifteen-letters", "white space in it", "token/with/a-slash"])
def test_the_receiver_does_not_start_with_an_invalid_token(
    tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in build_environ(tmp_path, IPLUM_CALLBACK_TOKEN=token).items():
        monkeypatch.setenv(name, value)
    assert cli.run(["receiver", "--port", "0"]) == 2
    error = capsys.readouterr().err
    assert "IPLUM_CALLBACK_TOKEN" in error
    assert not token or token not in error
