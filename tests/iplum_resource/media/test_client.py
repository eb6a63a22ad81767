"""Media downloads over real sockets: complete files from listed hosts only."""

import gzip
import io
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from iplum_resource.errors import (
    Interrupted,
    IPlumError,
    MediaError,
    MediaExpired,
    MediaRefused,
    MediaUnreachable,
    RateLimited,
    ServerFailed,
    TimedOut,
)
from iplum_resource.media.client import MediaBounds, MediaClient

RequestHandler = Callable[[BaseHTTPRequestHandler], None]
FILE = b"ID3" + bytes(range(256)) * 400


def send(status: int, body: bytes = b"", **headers: str) -> RequestHandler:
    def handle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            if value:
                handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return handle


@contextmanager
def serving(*responses: RequestHandler) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Respond to requests with the given responses in order, and repeat the last one."""
    remaining, received = list(responses), list[dict[str, str]]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            received.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
            (remaining.pop(0) if len(remaining) > 1 else remaining[0])(self)

        def log_message(self, *_arguments: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def download(host: str, path: str = "/file.mp3", *, hosts: frozenset[str] | None = None, **bounds: float) -> bytes:
    sink = io.BytesIO(b"left over from before")
    limits = MediaBounds(**{"read": 2, **bounds})  # type: ignore[arg-type]
    with MediaClient(hosts or frozenset({host}), bounds=limits, sleep=lambda _: None, random=lambda: 0) as client:
        client.download(f"http://{host}{path}", sink)
    return sink.getvalue()


def test_a_file_is_downloaded_completely_and_without_credentials() -> None:
    with serving(send(200, FILE)) as (host, received):
        assert download(host) == FILE
    (request,) = received
    assert request["accept-encoding"] == "identity"
    assert not {"authorization", "cookie", "x-iplumauth-accesskey"} & request.keys()


def send_truncated_body(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(FILE)))
    handler.end_headers()
    handler.wfile.write(FILE[:1000])
    handler.close_connection = True


def send_truncated_chunks(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"3e8\r\n" + FILE[:1000] + b"\r\n")
    handler.close_connection = True


def send_stalled_body(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "5")
    handler.end_headers()
    handler.wfile.write(b"abc")
    handler.wfile.flush()
    threading.Event().wait(1)


@pytest.mark.parametrize(
    "fault",
    [send_truncated_body, send_truncated_chunks, send(500), send(503, Retry_After="1"), send(429)],
    ids=["truncated", "truncated chunks", "500", "503", "429"],
)
def test_temporary_failures_are_retried_from_the_beginning(fault: RequestHandler) -> None:
    with serving(fault, fault, send(200, FILE)) as (host, received):
        assert download(host) == FILE
    assert len(received) == 3


@pytest.mark.parametrize(
    ("fault", "error", "requests"),
    [
        (send_truncated_body, Interrupted, 8),
        (send_truncated_chunks, Interrupted, 8),
        (send(500), ServerFailed, 5),
        (send(429), RateLimited, 8),
        (send(403), MediaExpired, 1),
        (send(404), MediaExpired, 1),
        (send(410), MediaExpired, 1),
        (send(200, FILE, Content_Length=str(1 << 40)), MediaRefused, 1),
        *[(send(status), MediaError, 1) for status in (300, 304, 402, 405, 406, 418, 451)],
    ],
    ids=[
        "truncated",
        "truncated chunks",
        "500",
        "429",
        "403",
        "404",
        "410",
        "too large",
        "300",
        "304",
        "402",
        "405",
        "406",
        "418",
        "451",
    ],
)
def test_a_permanent_failure_raises_an_error_without_the_url(
    fault: RequestHandler, error: type[IPlumError], requests: int
) -> None:
    with serving(fault) as (host, received), pytest.raises(error) as caught:
        download(host)
    assert len(received) == requests
    assert host not in str(caught.value)
    assert "file.mp3" not in str(caught.value)
    assert caught.value.__context__ is None, "the context would be the library's error, which contains the URL"


def test_a_file_without_a_length_is_stopped_at_the_size_limit() -> None:
    with serving(send(200, FILE, Content_Length="", Connection="close")) as (host, _), pytest.raises(MediaRefused):
        download(host, file=1000)


def test_a_stalled_download_times_out_after_five_attempts() -> None:
    with serving(send_stalled_body) as (host, received), pytest.raises(TimedOut):
        download(host, read=0.1)
    assert len(received) == 5


def test_a_redirect_is_followed_to_a_listed_host_only() -> None:
    with serving(send(302, Location="/elsewhere.mp3"), send(200, FILE)) as (host, received):
        assert download(host) == FILE
    assert [request["path"] for request in received] == ["/file.mp3", "/elsewhere.mp3"]

    with serving(send(200, FILE)) as (other, reached):
        for target in (f"http://{other}/file.mp3", "http://169.254.169.254/latest", "file:///etc/passwd", ""):
            with serving(send(302, Location=target)) as (host, _), pytest.raises(MediaRefused):
                download(host)
        assert reached == []


def test_a_redirect_loop_is_stopped() -> None:
    with serving(send(302, Location="/file.mp3")) as (host, received), pytest.raises(MediaRefused):
        download(host)
    assert len(received) == 3


def test_a_host_that_is_not_listed_gets_no_request() -> None:
    with serving(send(200, FILE)) as (host, received):
        with pytest.raises(MediaRefused):
            download(host, hosts=frozenset({"media.iplum.com"}))
        assert received == []


def test_cookies_are_not_kept() -> None:
    with serving(send(503, Set_Cookie="a=b"), send(200, FILE)) as (host, received):
        assert download(host) == FILE
    assert [request.get("cookie") for request in received] == [None, None]


def test_a_media_host_that_is_down_raises_media_unreachable() -> None:
    with serving(send(200)) as (host, _):
        pass
    with pytest.raises(MediaUnreachable):
        download(host)


GZIP = {"Content_Encoding": "gzip"}


def test_a_file_compressed_with_gzip_is_decompressed() -> None:
    large = FILE * 40
    for body in (gzip.compress(large), gzip.compress(b"")):
        with serving(send(200, body, **GZIP)) as (host, received):
            assert download(host) == gzip.decompress(body)
        assert len(received) == 1


@pytest.mark.parametrize(
    ("body", "encoding", "error", "requests"),
    [
        (gzip.compress(FILE)[:-20], "gzip", Interrupted, 8),
        (FILE, "gzip", MediaError, 1),
        (gzip.compress(FILE) + FILE, "gzip", MediaError, 1),
        (gzip.compress(FILE), "gzip, gzip", MediaError, 1),
        (FILE, "br", MediaError, 1),
        (gzip.compress(bytes(1000)), "x-gzip", None, 1),
    ],
    ids=["truncated", "not gzip", "with more data", "twice", "brotli", "x-gzip"],
)
def test_a_damaged_or_unknown_compression_is_an_error(
    body: bytes, encoding: str, error: type[IPlumError] | None, requests: int
) -> None:
    with serving(send(200, body, Content_Encoding=encoding)) as (host, received):
        if error is None:
            assert download(host) == bytes(1000)
        else:
            with pytest.raises(error) as caught:
                download(host)
            assert type(caught.value) is error
    assert len(received) == requests


def test_a_compressed_file_is_stopped_at_the_size_limit_in_little_memory() -> None:
    bomb = gzip.compress(bytes(200 << 20), compresslevel=1)
    tracemalloc.start()
    try:
        with serving(send(200, bomb, **GZIP)) as (host, _), pytest.raises(MediaRefused, match="after decompression"):
            download(host, file=2 << 20)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_a_download_returns_the_content_type() -> None:
    with serving(send(200, FILE, Content_Type="audio/mpeg")) as (host, _):
        client = MediaClient(frozenset({host}))
        with client:
            assert client.download(f"http://{host}/file", io.BytesIO()) == "audio/mpeg"
