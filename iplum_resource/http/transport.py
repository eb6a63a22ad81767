"""One attempt over HTTP, from the open socket to the last byte of the answer."""

import io
import ipaddress
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import ReadTimeoutError

from iplum_resource.errors import Interrupted, IPlumError, ResponseTooLarge, TimedOut
from iplum_resource.http.transport_errors import classify_transport_error

_CHUNK = 1 << 16
#: An error's body is read for its code alone.
_ERROR_BODY = 1 << 16
#: More than any sensible number of requests in flight; a connection above it is closed instead of kept.
_CONNECTIONS = 64


@dataclass(frozen=True)
class HttpResponse:
    """Judge an answer without a socket: status, headers and body of one attempt, and when it came (UTC)."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received_at: datetime


@dataclass(frozen=True)
class Bounds:
    """Keep one attempt from lasting, or growing, for ever: seconds, and bytes after decompression.

    `read` is between two arrivals of data, `total` over a whole attempt; a silent server can add one `read`.
    """

    connect: float
    read: float
    total: float
    body: int


class Transport:
    """Send one POST and get its whole answer or the error that says where the way broke.

    Safe to share between threads. Redirects are not followed, cookies not kept, proxies and
    REQUESTS_CA_BUNDLE taken from the environment except towards a loopback address. Raises ValueError for a
    base URL that isn't https (http to a loopback address is fine) or has more than a host, port and path.
    """

    def __init__(
        self,
        base_url: str,
        *,
        bounds: Bounds,
        user_agent: str,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        is_loopback = _check_base_url(base_url)
        logging.getLogger("urllib3.connection").addFilter(_is_safe_to_log)
        self._base_url = base_url.rstrip("/")
        self._bounds, self._clock, self._monotonic = bounds, clock, monotonic
        self._session = _Session()
        self._session.trust_env = not is_loopback
        self._session.headers["User-Agent"] = user_agent
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))

    def post(self, path: str, body: bytes, *, auth: AuthBase, request: str) -> HttpResponse:
        """Get the answer to one POST, whatever its status.

        `request` names the request in errors. Raises Unreachable, WrongAddress, TimedOut, Interrupted and
        ResponseTooLarge. The body is read for the statuses 200 and 400 alone.
        """
        bounds, deadline = self._bounds, self._monotonic() + self._bounds.total
        failure: IPlumError
        try:
            response = self._session.post(
                self._base_url + path,
                data=body,
                auth=auth,
                timeout=(min(bounds.connect, bounds.total), min(bounds.read, bounds.total)),
                stream=True,
                allow_redirects=False,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            failure = classify_transport_error(error, request)
        else:
            with response:
                answer = self._read_body(response, deadline, request=request)
            return HttpResponse(response.status_code, response.headers, answer, self._clock())
        # Outside the except clause: the library's error, which holds the signed request, is not chained.
        raise failure

    def close(self) -> None:
        """Close the connections that are kept open between requests."""
        self._session.close()

    def _read_body(self, response: requests.Response, deadline: float, *, request: str) -> bytes:
        failure: IPlumError
        try:
            if response.status_code == requests.codes.ok:
                body = self._read(response, self._bounds.body, deadline=deadline, request=request)
                if body is not None:
                    return body
                failure = ResponseTooLarge(request, f"over {self._bounds.body} bytes")
            elif response.status_code == requests.codes.bad_request:
                return self._read(response, _ERROR_BODY, deadline=deadline, request=request) or b""
            else:
                return b""
        except ReadTimeoutError:
            failure = TimedOut(request, f"nothing for {self._bounds.read:g} s in the middle of an answer")
        except (urllib3.exceptions.HTTPError, OSError):
            failure = Interrupted(request)
        raise failure

    def _read(self, response: requests.Response, ceiling: int, *, deadline: float, request: str) -> bytes | None:
        """Return the body, or None for one over the ceiling."""
        announced, received = response.headers.get("Content-Length", ""), io.BytesIO()
        if announced.isdecimal() and int(announced) > ceiling:
            return None
        # read1 returns what has arrived; read would wait for a full chunk, however slowly it drips in.
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            received.write(chunk)
            if received.tell() > ceiling:
                return None
            if self._monotonic() > deadline:
                raise TimedOut(request, f"not complete after {self._bounds.total:g} s")
        return received.getvalue()


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - overrides
        """Know of no redirects: even unfollowed, requests would read their bodies without any bound."""
        return None


def _is_safe_to_log(record: logging.LogRecord) -> bool:
    # Of headers that can't be parsed, urllib3 logs what is left of them, which may be an answer's body.
    return "Failed to parse headers" not in str(record.msg)


def _check_base_url(base_url: str) -> bool:
    """Return whether the URL points to a loopback address, and refuse one that must not be used."""
    parts = urlsplit(base_url)
    is_loopback = _is_loopback(parts.hostname or "")
    if not parts.hostname or parts.scheme not in {"https", "http"} or parts.port == 0:
        raise ValueError("the base URL must be like https://api.iplum.com")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("the base URL must have no user, query or fragment")
    if parts.scheme == "http" and not is_loopback:
        raise ValueError("the base URL must be https: plain http is for a loopback address alone")
    return is_loopback


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
