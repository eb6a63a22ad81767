"""A webhook and a mail server on loopback that record the alerts they receive."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class AlertServer:
    """A running webhook or mail server.

    Attributes:
        url: Address of the server.
        received: Accepted messages; a mail server also records AUTH lines.
        refuse: Number of deliveries that are refused before one is accepted (HTTP 503 or SMTP 451).
        attempts: Number of deliveries so far.
    """

    url: str
    received: list[Any] = field(default_factory=list)
    refuse: int = 0
    attempts: int = 0

    def accept(self) -> bool:
        """Count a delivery and return whether it is accepted."""
        self.attempts += 1
        return self.attempts > self.refuse


class _Webhook(ThreadingHTTPServer):
    alerts: AlertServer


class _WebhookHandler(BaseHTTPRequestHandler):
    server: _Webhook
    timeout = 10

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_accepted = self.server.alerts.accept()
        if is_accepted:
            self.server.alerts.received.append(json.loads(body))
        self.send_response(200 if is_accepted else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        pass


# The reply to QUIT is wrong (250 instead of 221), as on some real servers.
_REPLIES = {"EHLO": "250-mail.invalid\r\n250 AUTH PLAIN", "AUTH": "235 welcome"}


class _MailServer(socketserver.ThreadingTCPServer):
    alerts: AlertServer
    daemon_threads = True


class _MailHandler(socketserver.StreamRequestHandler):
    server: _MailServer
    timeout = 10

    def handle(self) -> None:
        self._send("220 mail.invalid")
        while line := self.rfile.readline().decode().strip():
            verb = line.split(maxsplit=1)[0].upper()
            if verb == "AUTH":
                self.server.alerts.received.append(line)
            if verb == "DATA":
                self._send("354 go on")
                self._receive_message()
            else:
                self._send(_REPLIES.get(verb, "250 fine"))

    def _receive_message(self) -> None:
        lines = []
        while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
            lines.append(line)
        if self.server.alerts.accept():
            self.server.alerts.received.append("\n".join(lines))
            self._send("250 accepted")
        else:
            self._send("451 not now, c4nary@clinic.example")

    def _send(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@contextmanager
def run_webhook() -> Iterator[AlertServer]:
    """Run a webhook that accepts JSON, like Slack's, during the block."""
    with _Webhook(("127.0.0.1", 0), _WebhookHandler) as server:
        server.alerts = AlertServer(f"http://127.0.0.1:{server.server_address[1]}/services/c4nary-token")
        with _serving(server):
            yield server.alerts


@contextmanager
def run_mail_server() -> Iterator[AlertServer]:
    """Run an SMTP server without encryption during the block."""
    with _MailServer(("127.0.0.1", 0), _MailHandler) as server:
        server.alerts = AlertServer(f"smtp://iplum:c4nary%20pass@127.0.0.1:{server.server_address[1]}")
        with _serving(server):
            yield server.alerts


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
