"""A webhook and a mail server on the loopback that keep what they are sent."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Mailbox:
    """A mail server with its received messages; `refuse` is the number of deliveries refused first (503 or 451)."""

    url: str
    received: list[Any] = field(default_factory=list)
    refuse: int = 0
    tried: int = 0

    def takes(self) -> bool:
        """Count a try, and say whether it is taken."""
        self.tried += 1
        return self.tried > self.refuse


class _Webhook(ThreadingHTTPServer):
    box: Mailbox


class _WebhookHandler(BaseHTTPRequestHandler):
    server: _Webhook
    timeout = 10

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        taken = self.server.box.takes()
        if taken:
            self.server.box.received.append(json.loads(body))
        self.send_response(200 if taken else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class has it
        pass


# It answers QUIT wrongly, as some do.
_REPLIES = {"EHLO": "250-mail.invalid\r\n250 AUTH PLAIN", "AUTH": "235 welcome"}


class _MailServer(socketserver.ThreadingTCPServer):
    box: Mailbox
    daemon_threads = True


class _MailHandler(socketserver.StreamRequestHandler):
    server: _MailServer
    timeout = 10

    def handle(self) -> None:
        self._say("220 mail.invalid")
        while line := self.rfile.readline().decode().strip():
            verb = line.split(maxsplit=1)[0].upper()
            if verb == "AUTH":
                self.server.box.received.append(line)
            if verb == "DATA":
                self._say("354 go on")
                self._take()
            else:
                self._say(_REPLIES.get(verb, "250 fine"))

    def _take(self) -> None:
        lines = []
        while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
            lines.append(line)
        if self.server.box.takes():
            self.server.box.received.append("\n".join(lines))
            self._say("250 taken")
        else:
            self._say("451 not now, c4nary@clinic.example")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@contextmanager
def webhook() -> Iterator[Mailbox]:
    """Listen for JSON, as Slack does."""
    with _Webhook(("127.0.0.1", 0), _WebhookHandler) as server:
        server.box = Mailbox(f"http://127.0.0.1:{server.server_address[1]}/services/c4nary-token")
        with _serving(server):
            yield server.box


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """Listen for mail, with no more of SMTP than a client needs, and without encryption."""
    with _MailServer(("127.0.0.1", 0), _MailHandler) as server:
        server.box = Mailbox(f"smtp://iplum:c4nary%20pass@127.0.0.1:{server.server_address[1]}")
        with _serving(server):
            yield server.box


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
