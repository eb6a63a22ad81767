"""Classification of connection errors from requests, urllib3, ssl and the operating system.

Their texts are never passed on: they may contain the URL or the request.
"""

import ssl
from collections.abc import Iterator
from typing import TypeVar
from urllib.request import getproxies

import requests
from urllib3.exceptions import NameResolutionError, NewConnectionError, ReadTimeoutError

from iplum_resource.errors import (
    BadCertificate,
    Interrupted,
    IPlumError,
    TimedOut,
    TlsFailed,
    Unreachable,
    WrongAddress,
)

_E = TypeVar("_E", bound=BaseException)


def classify_transport_error(error: Exception, request: str) -> IPlumError:
    """Return our error for an exception raised before a response began; `request` names the request in it."""
    causes = tuple(_walk_causes(error))
    certificate = _find(causes, ssl.SSLCertVerificationError)
    if certificate is not None:
        # OpenSSL's messages ("certificate has expired", "Hostname mismatch, ...") name at most the requested host.
        message = str(getattr(certificate, "verify_message", "")).rstrip(".")
        return BadCertificate(request, message or "verification failed")
    if isinstance(error, requests.exceptions.ProxyError):
        return Unreachable(request, "the proxy did not let the request through")
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Unreachable(request, "the server did not accept the connection in time")
    if isinstance(error, requests.exceptions.SSLError):
        return TlsFailed(request)
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)):
        # Base URLs and media URLs are checked before they are requested.
        if {"https", "all"} & getproxies().keys():
            return Unreachable(request, "HTTPS_PROXY or ALL_PROXY is not the URL of an HTTP proxy")
        return WrongAddress(request, "not a usable URL")
    return _classify_connection(error, causes, request=request)


def _classify_connection(error: Exception, causes: tuple[BaseException, ...], *, request: str) -> IPlumError:
    if _find(causes, NameResolutionError) is not None:
        return Unreachable(request, "the host name was not found")
    if _find(causes, NewConnectionError) is not None:
        words = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
        return Unreachable(request, words[0].lower() if words else "no connection could be made")
    if _find(causes, ReadTimeoutError) is not None or _find(causes, TimeoutError) is not None:
        return TimedOut(request, "no response began in time")
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        # requests raises a bare OSError only for this.
        return TlsFailed(request, "the file or folder of REQUESTS_CA_BUNDLE can't be read")
    return Interrupted(request)


def _walk_causes(error: BaseException) -> Iterator[BaseException]:
    # The libraries wrap each other as a cause, a `reason` or an argument.
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        current = waiting.pop()
        if isinstance(current, BaseException) and id(current) not in seen:
            seen.add(id(current))
            yield current
            waiting += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]


def _find(causes: tuple[BaseException, ...], kind: type[_E]) -> _E | None:
    return next((cause for cause in causes if isinstance(cause, kind)), None)
