"""The four calls of iPlum's API: signed, rate-limited and retried.

Fetching a window completely lives in `iplum_resource.window_pull`.
"""

import json
import logging
import random as random_numbers
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal, Self, TypeVar

from iplum_resource.credentials import Credentials
from iplum_resource.errors import (
    AccountError,
    Forbidden,
    InvalidRequest,
    RateLimited,
    ServerFailed,
    Unauthorized,
    Unreachable,
    WrongAddress,
)
from iplum_resource.http.responses import (
    Content,
    JsonParser,
    WindowResponse,
    parse_content,
    parse_records,
    parse_url,
    reject_invalid_json,
)
from iplum_resource.http.retry import LONGEST_WAIT, RetryPolicy, max_attempts
from iplum_resource.http.status_errors import classify_status, compute_clock_correction, compute_clock_offset
from iplum_resource.http.transport import Bounds, HttpResponse, Transport
from iplum_resource.limits.circuit_breaker import CircuitBreaker
from iplum_resource.limits.rate_limiter import RateLimiter
from iplum_resource.signing import Signature
from iplum_resource.window import Window

BASE_URL = "https://api.iplum.com"
_USAGE = "/usage/getusage"
_CONTENT = "/usage/getcontent"
_RECORDINGS = "/callrecordings/getrecordings"
_RECORDING_FILE = "/callrecordings/getrecordingfile"

_logger = logging.getLogger("iplum_resource")
_T = TypeVar("_T")


@dataclass(frozen=True)
class _Call:
    path: str
    parameters: Mapping[str, str] = field(repr=False)
    window: Window | None = None
    retry_server_errors: bool = True

    def __str__(self) -> str:
        return f"POST {self.path}" if self.window is None else f"POST {self.path} for {self.window}"


class IPlumClient:
    """A client for one iPlum account. Safe to share between threads, and best shared.

    Until iPlum has responded to one call, the others wait for it. After a rejected key (401) or when iPlum cannot
    be reached, every later call fails without a request. Each attempt waits for the rate limit and is then signed.

    Args:
        login_case: `lower` sends and signs the login ID in lower case, `typed` unchanged (docs/design.md,
            "Signing").
        read_timeout: Seconds between two arrivals of data; `total_timeout` is for one whole attempt.
        max_body_bytes: Maximum size of a response after decompression.
        parse_invalid: Parses a body that is not valid JSON; by default, it is rejected.
        clock: Returns the time (UTC); `monotonic` returns seconds, `random` numbers from 0 up to 1.

    Raises:
        ValueError: The base URL must not be used.

    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        limiter: RateLimiter,
        base_url: str = BASE_URL,
        language: str = "en",
        login_case: Literal["lower", "typed"] = "lower",
        connect_timeout: float = 10,
        read_timeout: float = 120,
        total_timeout: float = 900,
        max_body_bytes: int = 64 << 20,
        user_agent: str = "iplum-warehouse",
        parse_invalid: JsonParser = reject_invalid_json,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = random_numbers.random,
    ) -> None:
        self._credentials = credentials
        self._login_id = credentials.login_id.lower() if login_case == "lower" else credentials.login_id
        self._language = language
        self._limiter = limiter
        self._parse_invalid = parse_invalid
        self._clock, self._sleep, self._random = clock, sleep, random
        self._breaker = CircuitBreaker()
        self._clock_offset: timedelta | None = None
        self._correction = timedelta(0)
        self._has_warned = False
        self._transport = Transport(
            base_url,
            bounds=Bounds(connect_timeout, read_timeout, total_timeout, max_body_bytes),
            user_agent=user_agent,
            clock=clock,
            monotonic=monotonic,
        )

    @property
    def clock_offset(self) -> timedelta | None:
        """The difference between this machine's clock and iPlum's at the last response; None if unknown."""
        return self._clock_offset

    def correct_time(self, instant: datetime) -> datetime:
        """Convert a time of this machine's clock into iPlum's, if its responses show that this clock is wrong."""
        return instant - self._correction

    def fetch_usage(
        self, window: Window, usage_types: Sequence[str], *, retry_server_errors: bool = True
    ) -> WindowResponse:
        """Fetch the calls, texts and faxes of a window (docs/iplum-api.md, "Get Usage Records").

        With `retry_server_errors` false, a 500 or a timeout is not retried.

        Raises:
            ValueError: No usage types.
            IPlumError: The request failed.

        """
        if isinstance(usage_types, str) or not usage_types:
            raise ValueError("usage types must be a sequence of at least one name")
        types = tuple(usage_types)
        return self._fetch_window(_USAGE, window, usage_types=types, retry_server_errors=retry_server_errors)

    def fetch_recordings(self, window: Window, *, retry_server_errors: bool = True) -> WindowResponse:
        """Fetch the recordings of a window (docs/iplum-api.md, "Get Recording Records").

        Raises:
            IPlumError: The request failed. Forbidden may only mean that the account has no call recording plan.

        """
        return self._fetch_window(_RECORDINGS, window, usage_types=None, retry_server_errors=retry_server_errors)

    def fetch_content(self, record_id: str, *, retry_server_errors: bool = True) -> Content:
        """Fetch a text, or the URL of an attachment or fax (docs/iplum-api.md, "Get Usage Content")."""
        return self._send(
            _Call(_CONTENT, {"RecordID": record_id}, retry_server_errors=retry_server_errors),
            partial(parse_content, parse_invalid=self._parse_invalid),
        )[0]

    def fetch_recording_url(self, record_id: str, *, retry_server_errors: bool = True) -> str:
        """Fetch the URL of a recording's file (docs/iplum-api.md, "Get Recording File")."""
        return self._send(
            _Call(_RECORDING_FILE, {"RecordID": record_id}, retry_server_errors=retry_server_errors), parse_url
        )[0]

    def close(self) -> None:
        """Close the pooled connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fetch_window(
        self, path: str, window: Window, *, usage_types: tuple[str, ...] | None, retry_server_errors: bool
    ) -> WindowResponse:
        start, end = window.request_dates
        usage = {} if usage_types is None else {"Usage": ",".join(usage_types)}
        call = _Call(path, {**usage, "StartDate": start, "EndDate": end}, window, retry_server_errors)
        parse = partial(parse_records, parse_invalid=self._parse_invalid)
        (body, rows), requested_at, received_at = self._send(call, parse)
        return WindowResponse(
            window, usage_types, body, rows, requested_at, received_at, parse_invalid=self._parse_invalid
        )

    def _send(self, call: _Call, parse: Callable[[HttpResponse, str], _T]) -> tuple[_T, datetime, datetime]:
        """Return the parsed response, when it was requested, and when it was received."""
        retry_policy = RetryPolicy(
            attempts_500=max_attempts(call.window) if call.retry_server_errors else 1,
            is_over=lambda: self._breaker.is_tripped,
            clock=self._clock,
            random=self._random,
            has_answered=lambda: self._breaker.is_closed,
        )
        with self._breaker.admit():
            try:
                return retry_policy.build_loop(self._sleep)(self._attempt, call, parse)
            except (Unauthorized, WrongAddress, Unreachable) as error:
                self._breaker.trip(error)
                raise

    def _attempt(self, call: _Call, parse: Callable[[HttpResponse, str], _T]) -> tuple[_T, datetime, datetime]:
        self._breaker.check()
        self._limiter.acquire(str(call), longest_penalty=LONGEST_WAIT.total_seconds())
        # The breaker may have tripped while this thread waited for the rate limit.
        self._breaker.check()
        requested_at = self._clock()
        # Escaped to ASCII, any record ID can be sent, even half of a surrogate pair.
        body = json.dumps({"Lang": self._language, **call.parameters}).encode("ascii")
        auth = Signature(self._credentials, self._login_id, requested_at)
        response = self._transport.post(call.path, body, auth=auth, request=str(call))
        self._note_clock(response)
        error = classify_status(response, str(call))
        if isinstance(error, WrongAddress) and call.window is None:
            # For a record, a 404 may mean that it does not exist; requests for windows show a wrong base URL.
            error = InvalidRequest(str(call), None, response.status)
        if not isinstance(error, AccountError) or (isinstance(error, Forbidden) and call.path != _USAGE):
            self._breaker.close()
        if isinstance(error, RateLimited):
            self._limiter.slow_down()
        if isinstance(error, RateLimited | ServerFailed) and error.retry_at is not None:
            self._limiter.penalize(error.retry_at)
        if error is not None:
            raise error
        self._limiter.speed_up()
        parsed = parse(response, str(call))
        return parsed, self.correct_time(requested_at), self.correct_time(response.received_at)

    def _note_clock(self, response: HttpResponse) -> None:
        self._clock_offset = compute_clock_offset(response)
        self._correction = compute_clock_correction(response)
        if self._correction and not self._has_warned:
            self._has_warned = True
            _logger.warning(
                "this machine's clock is %.0f s %s iPlum's, whose time is used. Set the clock (turn on NTP).",
                abs(self._correction.total_seconds()),
                "ahead of" if self._correction > timedelta(0) else "behind",
            )
