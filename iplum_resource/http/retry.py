"""Retry policy: which errors are retried, how often, and after which wait."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tenacity import RetryCallState, Retrying

from iplum_resource.errors import (
    BadCertificate,
    BrokenJson,
    Interrupted,
    IPlumError,
    RateLimited,
    ServerFailed,
    TimedOut,
    Unreachable,
)
from iplum_resource.window import Window

#: Attempts of a request that is likely to succeed eventually.
MANY_ATTEMPTS = 8
#: Attempts of a wide window, where splitting is likelier to help than another attempt.
FEW_ATTEMPTS = 3
_WIDE_WINDOW = timedelta(hours=1)
#: The backoff in seconds doubles from the first to the last; each wait is random between 0 and the backoff.
_FIRST_WAIT, _LAST_WAIT = 0.5, 10.0
#: If the server asks for a longer wait, the request fails and reports the time.
LONGEST_WAIT = timedelta(minutes=15)

_logger = logging.getLogger("iplum_resource")


@dataclass(frozen=True)
class RetryPolicy:
    """The retries of one call (docs/design.md, "Retries and limits").

    Args:
        attempts_500: Attempts for a 5xx or a timeout; other errors have fixed numbers.
        is_over: Returns whether no request can succeed any more.
        random: Returns numbers from 0 up to 1; `clock` returns the time (UTC).
        has_answered: Returns whether iPlum has responded before. If so, a lost connection is temporary, else
            likely a wrong setting.

    """

    attempts_500: int
    is_over: Callable[[], bool]
    clock: Callable[[], datetime]
    random: Callable[[], float]
    has_answered: Callable[[], bool] = lambda: False
    _failures: Counter[str] = field(default_factory=Counter, init=False)

    def build_loop(self, sleep: Callable[[float], None]) -> Retrying:
        """Build the retry loop of one call. An error that is not retried is raised unchanged."""
        return Retrying(retry=self._is_retried, wait=self._compute_wait, sleep=sleep, before_sleep=_log, reraise=True)

    def _is_retried(self, state: RetryCallState) -> bool:
        error = _get_error(state)
        if error is None or self.is_over():
            return False
        kind, attempts = self._get_limit(error)
        self._failures[kind] += 1
        if self._failures[kind] >= attempts or state.attempt_number >= MANY_ATTEMPTS:
            return False
        return self._get_retry_after(error) <= LONGEST_WAIT.total_seconds()

    def _compute_wait(self, state: RetryCallState) -> float:
        backoff = min(_LAST_WAIT, _FIRST_WAIT * 2.0 ** (state.attempt_number - 1))
        error = _get_error(state)
        return max(self.random() * backoff, 0.0 if error is None else self._get_retry_after(error))

    def _get_limit(self, error: IPlumError) -> tuple[str, int]:
        match error:
            case RateLimited() | Interrupted() | BrokenJson():
                return "temporary", MANY_ATTEMPTS
            case ServerFailed() | TimedOut():
                return "server", self.attempts_500
            case BadCertificate():
                return "certificate", 1
            case Unreachable():
                return "network", MANY_ATTEMPTS if self.has_answered() else FEW_ATTEMPTS
            case _:
                return "final", 1

    def _get_retry_after(self, error: IPlumError) -> float:
        """Return the seconds until the time the server named, or 0."""
        retry_at = error.retry_at if isinstance(error, (RateLimited, ServerFailed)) else None
        return 0.0 if retry_at is None else (retry_at - self.clock()).total_seconds()


def max_attempts(window: Window | None) -> int:
    """Return the attempts for a 5xx or a timeout: fewer where the window can still be split."""
    return FEW_ATTEMPTS if window is not None and window.width > _WIDE_WINDOW else MANY_ATTEMPTS


def _get_error(state: RetryCallState) -> IPlumError | None:
    error = None if state.outcome is None else state.outcome.exception()
    return error if isinstance(error, IPlumError) else None


def _log(state: RetryCallState) -> None:
    error, wait = _get_error(state), 0.0 if state.next_action is None else state.next_action.sleep
    if error is not None:
        _logger.warning("%s: %s; attempt %d, next in %.1f s", error.request, error.cause, state.attempt_number, wait)
