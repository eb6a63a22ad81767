"""Classification of HTTP statuses (docs/iplum-api.md, "Response codes" and "Error codes")."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import orjson

from iplum_resource.errors import (
    Forbidden,
    InvalidDate,
    InvalidRequest,
    IPlumError,
    RateLimited,
    ServerFailed,
    TimedOut,
    Unauthorized,
    UnreadableResponse,
    WrongAddress,
    WrongClock,
)
from iplum_resource.http.transport import HttpResponse

#: Beyond this offset, the clock is a likelier cause of a 401 than a wrong key.
CLOCK_TOLERANCE = timedelta(minutes=2)
#: Bounds of a `Date` header that shows the time: older ones are wrong, as are those further ahead of this machine.
_EARLIEST_DATE = datetime(2024, 1, 1, tzinfo=UTC)
_LATEST_DATE = timedelta(days=366)
#: Longer than any run waits, and short enough for datetime arithmetic.
_LONGEST_WAIT = timedelta(days=365)


def classify_status(response: HttpResponse, request: str) -> IPlumError | None:
    """Return the error for a response, or None for a 200; `request` names the request in it."""
    match response.status:
        case 200:
            return None
        case 400:
            return _classify_bad_request(response, request)
        case 401:
            offset = compute_clock_offset(response)
            is_wrong = offset is not None and abs(offset) > CLOCK_TOLERANCE
            return WrongClock(request, offset) if offset is not None and is_wrong else Unauthorized(request)
        case 403:
            return Forbidden(request)
        case 404 | 405 | 406:
            return WrongAddress(request, f"HTTP {response.status}")
        case 408:
            return TimedOut(request, "HTTP 408")
        case 429:
            return RateLimited(request, _parse_retry_after(response))
        case status:
            return _classify_other(status, response, request=request)


def compute_clock_offset(response: HttpResponse) -> timedelta | None:
    """Return how far this machine's clock is ahead of iPlum's `Date` header, or None if the header is missing.

    Precise to about a second, the resolution of the header.
    """
    sent_at = _parse_http_date(response.headers, "Date")
    return None if sent_at is None else response.received_at - sent_at


def compute_clock_correction(response: HttpResponse) -> timedelta:
    """Return what to subtract from this machine's time to get iPlum's; zero for a small or an implausible difference.

    A `Date` of long ago or of the far future is not the time.
    """
    offset = compute_clock_offset(response)
    if offset is None or abs(offset) <= CLOCK_TOLERANCE:
        return timedelta(0)
    is_plausible = response.received_at - offset >= _EARLIEST_DATE and offset >= -_LATEST_DATE
    return offset if is_plausible else timedelta(0)


def find_error_code(value: object) -> str | None:
    """Return the vendor's error code in parsed JSON, or None if there is none that is safe to show.

    A code is a short word of letters, digits and underscores.
    """
    code = value.get("errorCode") if isinstance(value, dict) else None
    return code if isinstance(code, str) and re.fullmatch(r"[A-Za-z_]\w{0,63}", code, re.ASCII) else None


def _classify_other(status: int, response: HttpResponse, *, request: str) -> IPlumError:
    if 300 <= status < 400:
        return WrongAddress(request, f"redirect {status}, not followed")
    if 400 <= status < 500:
        return InvalidRequest(request, None, status)
    if 500 <= status < 600:
        return ServerFailed(request, status, _parse_retry_after(response))
    return UnreadableResponse(request, f"status {status}")


def _classify_bad_request(response: HttpResponse, request: str) -> InvalidRequest:
    try:
        code = find_error_code(orjson.loads(response.body))
    except orjson.JSONDecodeError:
        code = None
    return (InvalidDate if code == "ERR_INVALID_DATE" else InvalidRequest)(request, code)


def _parse_retry_after(response: HttpResponse) -> datetime | None:
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
        seconds = min(float(text), _LONGEST_WAIT.total_seconds())
        return response.received_at + timedelta(seconds=seconds)
    date = _parse_http_date(response.headers, "Retry-After")
    if date is None:
        return None
    # The date is by the server's clock, so it is compared with the response's own `Date`.
    wait = date - (_parse_http_date(response.headers, "Date") or response.received_at)
    return response.received_at + max(min(wait, _LONGEST_WAIT), -_LONGEST_WAIT)


def _parse_http_date(headers: Mapping[str, str], name: str) -> datetime | None:
    try:
        instant = parsedate_to_datetime(headers.get(name, ""))
        # An HTTP date is in GMT; the parser returns no time zone for -0000.
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None  # OverflowError: a zone of 30 digits, or one that leads out of the years 1 to 9999
