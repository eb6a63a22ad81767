"""The four calls of iPlum's API, signed, limited and retried."""

import json
import random as random_numbers
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Literal, Self, TypeVar

from iplum_resource.errors import (
    AccountError,
    Forbidden,
    InvalidRequest,
    RateLimited,
    Unauthorized,
    Unreachable,
    WrongAddress,
)
from iplum_resource.http.responses import Content, WindowResponse, read_content, read_records, read_url
from iplum_resource.http.retry import RetryPolicy, choose_attempts
from iplum_resource.http.status_errors import classify_status, measure_clock_offset
from iplum_resource.http.transport import Bounds, HttpResponse, Transport
from iplum_resource.limits.circuit_breaker import CircuitBreaker
from iplum_resource.limits.rate_limiter import RateLimiter
from iplum_resource.signing import Credentials, Signature
from iplum_resource.window import Window

BASE_URL = "https://api.iplum.com"
_USAGE = "/usage/getusage"
_CONTENT = "/usage/getcontent"
_RECORDINGS = "/callrecordings/getrecordings"
_RECORDING_FILE = "/callrecordings/getrecordingfile"

_T = TypeVar("_T")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class _Call:
    path: str
    parameters: Mapping[str, str] = field(repr=False)
    window: Window | None = None
    patient: bool = True

    def __str__(self) -> str:
        return f"POST {self.path}" if self.window is None else f"POST {self.path} for {self.window}"


class IPlumClient:
    """Ask iPlum for a window or a record, and get all of its answer or an error that says what to do.

    Safe to share between threads, and best shared: until iPlum has answered one call, the others wait for
    it, and once the keys are refused (401) or nothing can be reached, every later call raises that error
    without a request. Each attempt waits for `limiter`, then is signed at that moment.

    `language` is the `Lang` sent. `login_case` "typed" sends and signs the login ID as it is, "lower" in
    lower case (the document's prose and code differ). Time-outs are in seconds: to connect, between two
    arrivals of data, and for one whole attempt. `max_body_bytes` counts after decompression; a larger answer
    is asked for in halves. `clock` gives aware UTC instants, `monotonic` seconds, `random` numbers from 0 up
    to 1. Raises ValueError for a base URL that must not be used.
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
        clock: Callable[[], datetime] = _now,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = random_numbers.random,
    ) -> None:
        self._credentials = credentials
        self._login_id = credentials.login_id.lower() if login_case == "lower" else credentials.login_id
        self._language = language
        self._limiter = limiter
        self._clock, self._sleep, self._random = clock, sleep, random
        self._gate = CircuitBreaker()
        self._clock_offset: timedelta | None = None
        self._transport = Transport(
            base_url,
            bounds=Bounds(connect_timeout, read_timeout, total_timeout, max_body_bytes),
            user_agent=user_agent,
            clock=clock,
            monotonic=monotonic,
        )

    @property
    def clock_offset(self) -> timedelta | None:
        """How far this machine's clock was ahead of iPlum's at the last answer; None where that isn't known."""
        return self._clock_offset

    def fetch_usage(self, window: Window, usage_types: Sequence[str], *, patient: bool = True) -> WindowResponse:
        """Get the calls, texts and faxes of a window (document, "Get Usage Records").

        Without `patient`, a 500 or a time-out is not tried again. Raises ValueError for no usage types, and any
        IPlumError.
        """
        if isinstance(usage_types, str) or not usage_types:
            raise ValueError("usage types are a sequence of at least one name")
        types = tuple(usage_types)
        return self._fetch_answer(_USAGE, window, usage_types=types, patient=patient)

    def fetch_recordings(self, window: Window, *, patient: bool = True) -> WindowResponse:
        """Get the records of the calls recorded in a window (document, "Get Recording Records").

        Without `patient`, a 500 or a time-out is not tried again. Raises any IPlumError; Forbidden may mean only
        that the account has no call recording plan.
        """
        return self._fetch_answer(_RECORDINGS, window, usage_types=None, patient=patient)

    def fetch_content(self, record_id: str, *, patient: bool = True) -> Content:
        """Get a text's body, or the URL of an attachment or fax (document, "Get Usage Content").

        Without `patient`, a 500 or a time-out is not tried again. Raises any IPlumError.
        """
        return self._run(_Call(_CONTENT, {"RecordID": record_id}, patient=patient), read_content)[0]

    def fetch_recording_url(self, record_id: str, *, patient: bool = True) -> str:
        """Get the URL of a recording's file (document, "Get Recording File").

        Without `patient`, a 500 or a time-out is not tried again. Raises any IPlumError.
        """
        return self._run(_Call(_RECORDING_FILE, {"RecordID": record_id}, patient=patient), read_url)[0]

    def close(self) -> None:
        """Close the connections that are kept open between calls."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _fetch_answer(
        self, path: str, window: Window, *, usage_types: tuple[str, ...] | None, patient: bool
    ) -> WindowResponse:
        start, end = window.request_dates
        usage = {} if usage_types is None else {"Usage": ",".join(usage_types)}
        call = _Call(path, {**usage, "StartDate": start, "EndDate": end}, window, patient)
        (body, rows), requested_at, received_at = self._run(call, read_records)
        return WindowResponse(window, usage_types, body, rows, requested_at, received_at)

    def _run(self, call: _Call, read: Callable[[HttpResponse, str], _T]) -> tuple[_T, datetime, datetime]:
        """Return what `read` makes of the answer, when it was asked for, and when it came."""
        retries = RetryPolicy(
            attempts_500=choose_attempts(call.window) if call.patient else 1,
            is_over=lambda: self._gate.is_refused,
            clock=self._clock,
            random=self._random,
            has_answered=lambda: self._gate.is_open,
        )
        with self._gate.pass_through():
            try:
                return retries.build_loop(self._sleep)(self._attempt, call, read)
            except (Unauthorized, WrongAddress, Unreachable) as error:
                self._gate.refuse(error)
                raise

    def _attempt(self, call: _Call, read: Callable[[HttpResponse, str], _T]) -> tuple[_T, datetime, datetime]:
        self._gate.check()
        self._limiter.acquire()
        # Again: the keys may have been refused while this thread stood in line.
        self._gate.check()
        requested_at = self._clock()
        # Escaped to ASCII, any record id can be sent, half a surrogate pair too.
        body = json.dumps({"Lang": self._language, **call.parameters}).encode("ascii")
        auth = Signature(self._credentials, self._login_id, requested_at)
        reply = self._transport.post(call.path, body, auth=auth, request=str(call))
        self._clock_offset = measure_clock_offset(reply)
        error = classify_status(reply, str(call))
        if isinstance(error, WrongAddress) and call.window is None:
            # Of a record, a 404 may say that there is none; that the address is wrong shows at the windows.
            error = InvalidRequest(str(call), None, reply.status)
        if not isinstance(error, AccountError) or (isinstance(error, Forbidden) and call.path != _USAGE):
            self._gate.open()
        if isinstance(error, RateLimited):
            self._limiter.slow_down()
        if error is not None:
            raise error
        self._limiter.speed_up()
        return read(reply, str(call)), requested_at, reply.received_at
