"""Connections that end when a response's headers take too long, and whose address can be checked."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import HTTPResponse

CheckPeer = Callable[[HTTPConnection], None]


def _accept_any(_connection: HTTPConnection) -> None:
    return


class BoundedAdapter(HTTPAdapter):
    """An adapter for connections without a proxy.

    Read timeouts only bound the pause between two arrivals, so a server could send one byte of a header at a time
    for days.

    Args:
        headers_within: Seconds from the end of a request to the end of the response's headers.
        check_peer: Called with each new connection before a request is sent on it.
        connections: Pooled connections per host.

    """

    def __init__(self, *, headers_within: float, connections: int, check_peer: CheckPeer = _accept_any) -> None:
        self._pools = _build_pools(headers_within, check_peer)
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Use the bounded connections."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools


def _build_pools(headers_within: float, check_peer: CheckPeer) -> dict[str, type[HTTPConnectionPool]]:
    class PlainConnection(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            check_peer(self)

        def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as in urllib3
            with _end_after(headers_within, self.sock):
                return super().getresponse()

    class TlsConnection(PlainConnection, HTTPSConnection):
        """The same after the TLS handshake."""

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = PlainConnection

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = TlsConnection

    return {"http": PlainPool, "https": TlsPool}


@contextmanager
def _end_after(seconds: float, connected: socket.socket | None) -> Iterator[None]:
    """Shut a socket down unless the block ends in time; then raise `TimeoutError`."""
    is_late = threading.Event()

    def shut_down() -> None:
        is_late.set()
        with suppress(OSError):
            if connected is not None:
                connected.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    # The end of the connection inside the headers looks like the end of the headers.
    if is_late.is_set():
        raise TimeoutError
