"""The callback receiver on a socket."""

import logging
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

import uvicorn

from pipelines.clock import Clock
from pipelines.receiver.app import Mailbox, Receiver, create_app
from pipelines.receiver.limited_protocol import LimitedProtocol
from pipelines.settings import Settings, SettingsError, read_callback_token
from pipelines.warehouse_folder import check_origin, open_folder, open_inbox

_GRACE_SECONDS = 10
_BACKLOG = 256
# Connections, those accepted at once before one is replaced, and the inbox.
_OPEN_FILES = LimitedProtocol.limits.connections + _BACKLOG + 128


def serve(*accounts: Settings, environ: Mapping[str, str], host: str, port: int, clock: Clock) -> None:
    """Receive callbacks until SIGTERM or SIGINT, then finish open requests; prints one line with the address.

    Raises `SettingsError` without a usable token or for the demo's folder, `InboxFailed` and `StorageFailed` for an
    inbox or a state folder that cannot be used, and `OSError` for such an address.
    """
    mailboxes = list_mailboxes(accounts, environ)
    check_origin(accounts[0], open_folder(accounts[0]))
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    # uvicorn warns about each malformed request, so that anyone could fill the log.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    _allow_open_files(_OPEN_FILES)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        open_inbox(accounts[0], open_folder(accounts[0])) as inbox,
        socket.create_server((host, port), family=family, backlog=_BACKLOG) as listener,
    ):
        receiver = Receiver(inbox=inbox, mailboxes=mailboxes, clock=clock)
        where = listener.getsockname()
        address = f"[{where[0]}]" if ":" in where[0] else where[0]
        sys.stdout.write(f"Receiving callbacks at http://{address}:{where[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(
            create_app(receiver),
            http=LimitedProtocol,
            ws="none",
            backlog=_BACKLOG,
            lifespan="off",
            log_config=None,
            access_log=False,  # a path contains the token
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        _Server(config).run(sockets=[listener])


def list_mailboxes(accounts: Sequence[Settings], environ: Mapping[str, str]) -> list[Mailbox]:
    """List the mailboxes of all accounts with a callback token.

    Raises `SettingsError` for an unusable or shared token, or if there is none.
    """
    mailboxes: dict[str, Mailbox] = {}
    for settings in accounts:
        if not settings.secrets.callback_token:
            continue
        token = read_callback_token(environ, settings.secrets)
        if token in mailboxes:
            raise SettingsError(
                f"the accounts {mailboxes[token].account} and {settings.account} have the same callback token: "
                "give each its own, so that callbacks can be assigned"
            )
        mailboxes[token] = Mailbox(account=settings.account, token=token, keep_content=settings.keep_content)
    if not mailboxes:
        raise SettingsError("no account of accounts.toml has a callback_token: set it to the name of a variable")
    return list(mailboxes.values())


def _allow_open_files(count: int) -> None:
    """Raise this process's limit of open files to `count` if it is lower, as on macOS."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != soft < count:
        most = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class _Server(uvicorn.Server):
    """A server that ends on a signal without raising it again."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.should_exit = True
