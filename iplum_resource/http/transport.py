"""One HTTP attempt: connections, timeouts and the maximum size of a response."""

import io
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.auth import AuthBase
from urllib3.exceptions import ReadTimeoutError

from iplum_resource.errors import Interrupted, IPlumError, ResponseTooLarge, TimedOut
from iplum_resource.http.bounded_connections import BoundedAdapter
from iplum_resource.http.transport_errors import classify_transport_error
from iplum_resource.http.url_rules import find_base_url_problem, is_loopback_host

_CHUNK = 1 << 16
#: The body of an error is only read for its error code.
_ERROR_BODY = 1 << 16
#: More than any sensible number of requests in flight; connections above it are closed after use.
_CONNECTIONS = 64


@dataclass(frozen=True)
class HttpResponse:
    """One HTTP response: status, headers, body, and when it was received (UTC)."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received_at: datetime


@dataclass(frozen=True)
class Bounds:
    """Limits of one attempt.

    `connect`, `read` (between two arrivals of data) and `total` are seconds; a silent server can add one `read`.
    `body` is the maximum size in bytes after decompression.
    """

    connect: float
    read: float
    total: float
    body: int


class Transport:
    """A connection pool that sends one POST per call. Safe to share between threads.

    Redirects are not followed and cookies not stored. Proxies and REQUESTS_CA_BUNDLE come from the environment,
    except for a loopback host.

    Raises:
        ValueError: The base URL must not be used.

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
        problem = find_base_url_problem(base_url)
        if problem:
            raise ValueError(f"the base URL {problem}")
        logging.getLogger("urllib3.connection").addFilter(_is_safe_to_log)
        self._base_url = base_url.rstrip("/")
        self._bounds, self._clock, self._monotonic = bounds, clock, monotonic
        self._session = DirectSession()
        self._session.trust_env = not is_loopback_host(urlsplit(base_url).hostname or "")
        self._session.headers["User-Agent"] = user_agent
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, BoundedAdapter(headers_within=bounds.total, connections=_CONNECTIONS))

    def post(self, path: str, body: bytes, *, auth: AuthBase, request: str) -> HttpResponse:
        """Send one POST and return the response, whatever its status.

        The body is read for statuses 200 and 400 only. `request` names the request in errors.

        Raises:
            IPlumError: Unreachable, WrongAddress, TimedOut, Interrupted or ResponseTooLarge.

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
            if self._monotonic() > deadline:
                failure = TimedOut(request, f"no headers after {bounds.total:g} s")
        else:
            with response:
                body = self._read_body(response, deadline, request=request)
            return HttpResponse(response.status_code, response.headers, body, self._clock())
        # Raised outside the except clause, so that the library's error with the signed request is not chained.
        raise failure

    def close(self) -> None:
        """Close the pooled connections."""
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
            failure = TimedOut(request, f"no data for {self._bounds.read:g} s in the middle of a response")
        except (urllib3.exceptions.HTTPError, OSError):
            failure = Interrupted(request)
        raise failure

    def _read(self, response: requests.Response, maximum: int, *, deadline: float, request: str) -> bytes | None:
        """Return the body, or None if it is over the maximum size."""
        content_length, received = parse_content_length(response.headers), io.BytesIO()
        if content_length is not None and content_length > maximum:
            return None
        # read1 returns what has arrived; read would wait for a full chunk.
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            received.write(chunk)
            if received.tell() > maximum:
                return None
            if self._monotonic() > deadline:
                raise TimedOut(request, f"not complete after {self._bounds.total:g} s")
        return received.getvalue()


def parse_content_length(headers: Mapping[str, str]) -> int | None:
    """Return the `Content-Length` in bytes, or None without a plain number of at most 18 digits."""
    text = headers.get("Content-Length", "")
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


class DirectSession(requests.Session):
    """A session that follows no redirects, and uses no proxy for this machine."""

    def merge_environment_settings(self, url: Any, *arguments: Any, **options: Any) -> Any:
        """Use the proxies of the environment, except for a loopback host."""
        settings = super().merge_environment_settings(url, *arguments, **options)
        return {**settings, "proxies": {}} if is_loopback_host(urlsplit(url).hostname or "") else settings

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - overrides
        """Report no redirects: even when not following them, requests reads their bodies without a limit."""
        return None


def _is_safe_to_log(record: logging.LogRecord) -> bool:
    # urllib3 logs the rest of headers that it cannot parse, which may be a body.
    return "Failed to parse headers" not in str(record.msg)
