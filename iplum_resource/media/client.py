"""Streaming downloads from the media host."""

import random as random_numbers
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import BinaryIO, Self
from urllib.parse import urljoin

import requests
import urllib3
from urllib3.connection import HTTPConnection

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
    Unreachable,
    WrongAddress,
)
from iplum_resource.http.bounded_connections import BoundedAdapter
from iplum_resource.http.retry import RetryPolicy
from iplum_resource.http.status_errors import classify_status
from iplum_resource.http.transport import DirectSession, HttpResponse, parse_content_length
from iplum_resource.http.transport_errors import classify_transport_error
from iplum_resource.media.url import find_media_url, is_address_allowed

_CHUNK = 1 << 16
_MAX_REDIRECTS = 3
_CONNECTIONS = 64
_ATTEMPTS = 5
_REQUEST = "media download"
_REDIRECTS = {301, 302, 303, 307, 308}
_GZIP = {"gzip", "x-gzip"}
_EXPIRED = {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.UNAUTHORIZED}


@dataclass(frozen=True)
class MediaBounds:
    """Limits of a download: seconds to connect, between two arrivals and in total; bytes of a file."""

    connect: float = 10
    read: float = 60
    total: float = 3600
    file: int = 4 << 30


class MediaClient:
    """Downloads from the listed hosts only. Safe to share between threads.

    No key, login or cookie is sent to a media host.

    Args:
        hosts: Lower-case host names, with the port if it is not the default.
        clock: Returns the time (UTC); `monotonic` returns seconds, `random` numbers from 0 up to 1.

    """

    def __init__(
        self,
        hosts: frozenset[str],
        *,
        bounds: MediaBounds = MediaBounds(),
        user_agent: str = "iplum-warehouse",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = random_numbers.random,
    ) -> None:
        self._hosts = hosts
        self._bounds = bounds
        self._clock, self._monotonic, self._sleep, self._random = clock, monotonic, sleep, random
        self._session = DirectSession()
        self._session.headers.update({"User-Agent": user_agent, "Accept-Encoding": "identity"})
        # A .netrc could add credentials. Proxies and certificate authorities still come from the environment.
        self._session.auth = lambda request: request
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            adapter = BoundedAdapter(
                headers_within=self._bounds.total, connections=_CONNECTIONS, check_peer=_check_peer
            )
            self._session.mount(scheme, adapter)

    def find_url(self, text: str) -> str | None:
        """Return the URL to download, or None if the text is not a media URL."""
        return find_media_url(text, self._hosts)

    def download(self, text: str, sink: BinaryIO) -> str:
        """Download the file at a media URL into `sink`, and return its `Content-Type`.

        Each attempt starts at the beginning of `sink`. A file that the server compressed with gzip is decompressed.

        Raises:
            MediaExpired: A fresh URL may help.
            MediaRefused: The download rules forbid the file.
            MediaError: An unexpected status, or an unknown or damaged compression.
            WindowError: MediaUnreachable, Interrupted, TimedOut, RateLimited or ServerFailed: a later attempt may
                succeed.

        """
        retries = RetryPolicy(attempts_500=_ATTEMPTS, is_over=lambda: False, clock=self._clock, random=self._random)
        return retries.build_loop(self._sleep)(self._attempt, text, sink)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def _attempt(self, text: str, sink: BinaryIO) -> str:
        sink.seek(0)
        sink.truncate()
        url = self._require_listed(text)
        deadline = self._monotonic() + self._bounds.total
        for _ in range(_MAX_REDIRECTS):
            with self._get(url, deadline=deadline) as response:
                if response.status_code not in _REDIRECTS:
                    self._receive(response, sink, deadline=deadline)
                    return response.headers.get("Content-Type", "")
                url = self._require_listed(_join(url, response.headers.get("Location", "")))
        raise MediaRefused(_REQUEST, f"over {_MAX_REDIRECTS} redirects")

    def _require_listed(self, text: str) -> str:
        url = self.find_url(text)
        if url is None:
            raise MediaRefused(_REQUEST, "its host is not listed")
        return url

    def _get(self, url: str, *, deadline: float) -> requests.Response:
        failure: IPlumError
        try:
            return self._session.get(
                url, stream=True, allow_redirects=False, timeout=(self._bounds.connect, self._bounds.read)
            )
        except MediaRefused as refusal:
            failure = refusal
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            failure = classify_transport_error(error, _REQUEST)
            if self._monotonic() > deadline:
                failure = TimedOut(_REQUEST, f"no headers after {self._bounds.total:g} s")
            if isinstance(failure, Unreachable | WrongAddress):
                failure = MediaUnreachable(_REQUEST, failure.detail)
        # Raised outside the except clause, so that the library's error, which holds the URL, is not chained.
        raise failure

    def _receive(self, response: requests.Response, sink: BinaryIO, *, deadline: float) -> None:
        status = response.status_code
        if status in _EXPIRED:
            raise MediaExpired(_REQUEST, str(status))
        if status != HTTPStatus.OK:
            failure = classify_status(HttpResponse(status, response.headers, b"", self._clock()), _REQUEST)
            # An error that would end the run for all records is this file's alone.
            is_temporary = isinstance(failure, RateLimited | ServerFailed | TimedOut)
            raise failure if is_temporary and failure else MediaError(_REQUEST, f"HTTP {status}")
        length = parse_content_length(response.headers)
        if length is not None and length > self._bounds.file:
            raise MediaRefused(_REQUEST, f"over {self._bounds.file} bytes")
        received = self._copy(response, sink, deadline=deadline)
        if length is not None and received != length:
            raise Interrupted(_REQUEST, f"{received} of {length} bytes")

    def _copy(self, response: requests.Response, sink: BinaryIO, *, deadline: float) -> int:
        received = 0
        write = self._build_writer(response, sink)
        failure: IPlumError
        try:
            while chunk := response.raw.read1(_CHUNK, decode_content=False):
                received += len(chunk)
                if received > self._bounds.file:
                    raise MediaRefused(_REQUEST, f"over {self._bounds.file} bytes")
                if self._monotonic() > deadline:
                    raise TimedOut(_REQUEST, f"not complete after {self._bounds.total:g} s")
                write(chunk)
            write(b"")
        except urllib3.exceptions.ReadTimeoutError:
            failure = TimedOut(_REQUEST, f"no data for {self._bounds.read:g} s in the middle of a file")
        except urllib3.exceptions.HTTPError:
            failure = Interrupted(_REQUEST)
        else:
            return received
        raise failure

    def _build_writer(self, response: requests.Response, sink: BinaryIO) -> Callable[[bytes], object]:
        """Return a function that writes a chunk of the body; it gets an empty chunk at the end."""
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding in {"", "identity"}:
            return sink.write
        if encoding in _GZIP:
            return _Gunzip(sink, self._bounds.file).write
        raise MediaError(_REQUEST, "unknown Content-Encoding")


class _Gunzip:
    """Decompression of a gzip body into a file of a maximum size, in little memory."""

    def __init__(self, sink: BinaryIO, maximum: int) -> None:
        self._sink, self._maximum, self._written = sink, maximum, 0
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def write(self, chunk: bytes) -> None:
        if not chunk and not self._stream.eof:
            raise Interrupted(_REQUEST, "its gzip data is not complete")
        while chunk and not self._stream.eof:
            try:
                piece = self._stream.decompress(chunk, _CHUNK)
            except zlib.error:
                raise MediaError(_REQUEST, "its gzip data is damaged") from None
            self._written += len(piece)
            if self._written > self._maximum:
                raise MediaRefused(_REQUEST, f"over {self._maximum} bytes after decompression")
            self._sink.write(piece)
            chunk = self._stream.unconsumed_tail
        if chunk or self._stream.unused_data:
            raise MediaError(_REQUEST, "there is more data after its gzip data")


def _join(url: str, location: str) -> str:
    """Return the target of a redirect; empty if it is not a URL."""
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def _check_peer(connection: HTTPConnection) -> None:
    """Reject a forbidden address before a byte of the request is sent to it."""
    if connection.proxy is not None or connection.sock is None:
        return
    if not is_address_allowed(str(connection.sock.getpeername()[0]), connection.host.strip("[]")):
        connection.close()
        raise MediaRefused(_REQUEST, "the host name leads to a private address")
