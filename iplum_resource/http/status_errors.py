"""Which of our errors an HTTP status stands for (document, "Response Codes" and "Error Codes").

Belongs here: status, error code, `Date` and `Retry-After`, for answers other than a 200.
Does not belong here: sockets (transport), what a 200 brings (answers), trying again (retry).
"""

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

#: A clock further off than this is the likelier cause of a 401 than a wrong key.
CLOCK_TOLERANCE = timedelta(minutes=2)
#: Beyond what anybody waits for, and within what a datetime can hold.
_LONGEST_WAIT = timedelta(days=365)


def classify_status(reply: HttpResponse, request: str) -> IPlumError | None:
    """Get the error that says what to do about an answer, or None for a 200.

    `request` names the request in the error.
    """
    match reply.status:
        case 200:
            return None
        case 400:
            return _judge_bad_request(reply, request)
        case 401:
            offset = measure_clock_offset(reply)
            too_far = offset is not None and abs(offset) > CLOCK_TOLERANCE
            return WrongClock(request, offset) if offset is not None and too_far else Unauthorized(request)
        case 403:
            return Forbidden(request)
        case 404 | 405 | 406:
            return WrongAddress(request, f"it answered {reply.status}")
        case 408:
            return TimedOut(request, "it answered 408")
        case 429:
            return RateLimited(request, _read_retry_after(reply))
        case status:
            return _judge_other(status, reply, request=request)


def measure_clock_offset(reply: HttpResponse) -> timedelta | None:
    """Tell how far this machine's clock is ahead of iPlum's, by the `Date` header; None where there is none.

    Exact to about a second: that is how finely the header tells the time.
    """
    sent_at = _read_http_date(reply.headers, "Date")
    return None if sent_at is None else reply.received_at - sent_at


def find_error_code(value: object) -> str | None:
    """Find the vendor's error code in parsed JSON, where it is a code that is safe to show.

    Anything but a short word of letters, digits and underscores, as in the document's "Error Codes", is None.
    """
    code = value.get("errorCode") if isinstance(value, dict) else None
    return code if isinstance(code, str) and re.fullmatch(r"[A-Za-z_]\w{0,63}", code, re.ASCII) else None


def _judge_other(status: int, reply: HttpResponse, *, request: str) -> IPlumError:
    if 300 <= status < 400:
        return WrongAddress(request, f"it redirects with {status}, which is not followed")
    if 400 <= status < 500:
        return InvalidRequest(request, None, status)
    if 500 <= status < 600:
        return ServerFailed(request, status, _read_retry_after(reply))
    return UnreadableResponse(request, f"status {status}")


def _judge_bad_request(reply: HttpResponse, request: str) -> InvalidRequest:
    try:
        code = find_error_code(orjson.loads(reply.body))
    except orjson.JSONDecodeError:
        code = None
    return (InvalidDate if code == "ERR_INVALID_DATE" else InvalidRequest)(request, code)


def _read_retry_after(reply: HttpResponse) -> datetime | None:
    text = reply.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
        seconds = min(float(text), _LONGEST_WAIT.total_seconds())
        return reply.received_at + timedelta(seconds=seconds)
    named = _read_http_date(reply.headers, "Retry-After")
    if named is None:
        return None
    # The date is by the server's clock: what counts is how far ahead of its own `Date` it lies.
    offset = measure_clock_offset(reply) or timedelta(0)
    return reply.received_at + min(named + offset - reply.received_at, _LONGEST_WAIT)


def _read_http_date(headers: Mapping[str, str], name: str) -> datetime | None:
    try:
        instant = parsedate_to_datetime(headers.get(name, ""))
    except (ValueError, TypeError):
        return None
    # An HTTP date is in GMT; the parser leaves one written with -0000 without a time zone.
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
