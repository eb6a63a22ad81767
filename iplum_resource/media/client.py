"""Fetching a file from the media host, in a stream, whole or not at all."""

from __future__ import annotations

import random as random_numbers
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import urljoin

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from iplum_resource.errors import (
    Interrupted,
    IPlumError,
    MediaExpired,
    MediaRefused,
    MediaUnreachable,
    TimedOut,
    Unreachable,
    WrongAddress,
)
from iplum_resource.http.retry import RetryPolicy
from iplum_resource.http.status_errors import classify_status
from iplum_resource.http.transport import HttpResponse
from iplum_resource.http.transport_errors import classify_transport_error
from iplum_resource.media.url import find_media_url, may_connect

_CHUNK = 1 << 16
_HOPS = 3
_CONNECTIONS = 64
_ATTEMPTS = 5
_REQUEST = "GET of a file"
_REDIRECTS = {301, 302, 303, 307, 308}
_GONE = {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.UNAUTHORIZED}


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class MediaBounds:
    """How long to wait (seconds: to connect, between two arrivals, for a file) and how much to take (bytes)."""

    connect: float = 10
    read: float = 60
    total: float = 3600
    file: int = 4 << 30


class MediaClient:
    """Get files from the listed hosts, and from nowhere else; safe to share between threads.

    No key, login or cookie is ever sent to a media host. `hosts` are lower-case names, with the port where it
    isn't the scheme's own. `clock` gives aware UTC instants, `monotonic` seconds, `random` numbers from 0 up to 1.
    """

    def __init__(
        self,
        hosts: frozenset[str],
        *,
        bounds: MediaBounds | None = None,
        user_agent: str = "iplum-warehouse",
        clock: Callable[[], datetime] = _now,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = random_numbers.random,
    ) -> None:
        self._hosts = hosts
        self._bounds = bounds or MediaBounds()
        self._clock, self._monotonic, self._sleep, self._random = clock, monotonic, sleep, random
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": user_agent, "Accept-Encoding": "identity"})
        # A .netrc could add credentials; proxies and certificate authorities are still read below.
        self._session.auth = _add_nothing
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, _GuardedAdapter(pool_maxsize=_CONNECTIONS))

    def find_url(self, text: str) -> str | None:
        """Get the address to fetch, or None for a text that is no file's address."""
        return find_media_url(text, self._hosts)

    def download(self, text: str, sink: BinaryIO) -> None:
        """Write the file at an address into `sink`, from its beginning at every attempt.

        Raises MediaExpired where a fresh address may help, MediaRefused for what our rules forbid, and
        MediaUnreachable, Interrupted, TimedOut, RateLimited or ServerFailed where a later try may.
        """
        retries = RetryPolicy(
            attempts_500=_ATTEMPTS,
            is_over=lambda: False,
            clock=self._clock,
            random=self._random,
        )
        retries.build_loop(self._sleep)(self._attempt, text, sink)

    def close(self) -> None:
        """Close the connections that are kept open between files."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _attempt(self, text: str, sink: BinaryIO) -> None:
        sink.seek(0)
        sink.truncate()
        url = self._require_listed(text)
        deadline = self._monotonic() + self._bounds.total
        for _ in range(_HOPS):
            with self._get(url) as response:
                if response.status_code not in _REDIRECTS:
                    self._receive(response, sink, deadline=deadline)
                    return
                url = self._require_listed(urljoin(url, response.headers.get("Location", "")))
        raise MediaRefused(_REQUEST, f"over {_HOPS} redirects")

    def _require_listed(self, text: str) -> str:
        url = self.find_url(text)
        if url is None:
            raise MediaRefused(_REQUEST, "it is not on a host that files may come from")
        return url

    def _get(self, url: str) -> requests.Response:
        failure: IPlumError
        try:
            return self._session.get(
                url, stream=True, allow_redirects=False, timeout=(self._bounds.connect, self._bounds.read)
            )
        except MediaRefused as refusal:
            failure = refusal
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            failure = classify_transport_error(error, _REQUEST)
            if isinstance(failure, Unreachable | WrongAddress):
                failure = MediaUnreachable(_REQUEST, failure.detail)
        # Outside the except clause: the library's error, which holds the URL, is not chained.
        raise failure

    def _receive(self, response: requests.Response, sink: BinaryIO, *, deadline: float) -> None:
        status = response.status_code
        if status in _GONE:
            raise MediaExpired(_REQUEST, str(status))
        if status != HTTPStatus.OK:
            failure = classify_status(HttpResponse(status, response.headers, b"", self._clock()), _REQUEST)
            raise failure or MediaUnreachable(_REQUEST, str(status))
        announced = response.headers.get("Content-Length", "")
        length = int(announced) if announced.isdecimal() else None
        if length is not None and length > self._bounds.file:
            raise MediaRefused(_REQUEST, f"over {self._bounds.file} bytes")
        received = self._copy(response, sink, deadline=deadline)
        if length is not None and received != length:
            raise Interrupted(_REQUEST, f"{received} of {length} bytes")

    def _copy(self, response: requests.Response, sink: BinaryIO, *, deadline: float) -> int:
        received = 0
        failure: IPlumError
        try:
            while chunk := response.raw.read1(_CHUNK, decode_content=False):
                received += len(chunk)
                if received > self._bounds.file:
                    raise MediaRefused(_REQUEST, f"over {self._bounds.file} bytes")
                if self._monotonic() > deadline:
                    raise TimedOut(_REQUEST, f"not complete after {self._bounds.total:g} s")
                sink.write(chunk)
        except urllib3.exceptions.ReadTimeoutError:
            failure = TimedOut(_REQUEST, f"nothing for {self._bounds.read:g} s in the middle of a file")
        except urllib3.exceptions.HTTPError:
            failure = Interrupted(_REQUEST)
        else:
            return received
        raise failure


def _add_nothing(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _check_peer(connection: HTTPConnection) -> None:
    """Refuse the address that the host's name led to, before a byte of the request is sent to it."""
    if connection.proxy is not None or connection.sock is None:
        return
    if not may_connect(str(connection.sock.getpeername()[0]), connection.host.strip("[]")):
        connection.close()
        raise MediaRefused(_REQUEST, "the host's name leads to a private address")


class _GuardedHTTPConnection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _check_peer(self)


class _GuardedHTTPSConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _check_peer(self)


class _GuardedHTTPPool(HTTPConnectionPool):
    ConnectionCls = _GuardedHTTPConnection


class _GuardedHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedHTTPSConnection


class _GuardedAdapter(HTTPAdapter):
    """Connect as requests does, but look at the address before speaking."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _GuardedHTTPPool, "https": _GuardedHTTPSPool}
