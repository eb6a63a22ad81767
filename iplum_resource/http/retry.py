"""How often, and after how long, a failed request is tried again."""

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

#: Attempts of a request that is likely to succeed sooner or later.
PATIENT = 8
#: Attempts where a narrower window is likelier to help than another try, and how wide such a window is.
HASTY = 3
_WIDE = timedelta(hours=1)
#: Back-off doubles from the first to the last, in seconds; each wait is anything between 0 and it.
_FIRST_WAIT, _LAST_WAIT = 0.5, 10.0
#: Told to wait longer than this, it is better to give up and say until when.
_LONGEST_WAIT = timedelta(minutes=15)

_logger = logging.getLogger("iplum_resource")


@dataclass(frozen=True)
class RetryPolicy:
    """Ride out what passes by itself, and stop early at what doesn't: the rules for one call.

    `attempts_500` is how often a 5xx or a time-out is tried; everything else has its own fixed number.
    `is_over` says that no request can succeed any more. `random` gives numbers from 0 up to 1. `has_answered`
    says that iPlum was reached before: then a lost connection is a blip to sit out, else a wrong setting.
    """

    attempts_500: int
    is_over: Callable[[], bool]
    clock: Callable[[], datetime]
    random: Callable[[], float]
    has_answered: Callable[[], bool] = lambda: False
    _failures: Counter[str] = field(default_factory=Counter, init=False)

    def build_loop(self, sleep: Callable[[float], None]) -> Retrying:
        """Build the loop for one call; an error that isn't tried again is raised as it is."""
        return Retrying(
            retry=self._is_retried, wait=self._choose_wait, sleep=sleep, before_sleep=_log, reraise=True
        )

    def _is_retried(self, state: RetryCallState) -> bool:
        error = _get_error(state)
        if error is None or self.is_over():
            return False
        kind, attempts = self._get_limit(error)
        self._failures[kind] += 1
        if self._failures[kind] >= attempts or state.attempt_number >= PATIENT:
            return False
        return self._get_named_wait(error) <= _LONGEST_WAIT.total_seconds()

    def _choose_wait(self, state: RetryCallState) -> float:
        backoff = min(_LAST_WAIT, _FIRST_WAIT * 2.0 ** (state.attempt_number - 1))
        error = _get_error(state)
        return max(self.random() * backoff, 0.0 if error is None else self._get_named_wait(error))

    def _get_limit(self, error: IPlumError) -> tuple[str, int]:
        match error:
            case RateLimited() | Interrupted() | BrokenJson():
                return "passing", PATIENT
            case ServerFailed() | TimedOut():
                return "server", self.attempts_500
            case BadCertificate():
                return "certificate", 1
            case Unreachable():
                return "network", PATIENT if self.has_answered() else HASTY
            case _:
                return "final", 1

    def _get_named_wait(self, error: IPlumError) -> float:
        """Return how many seconds from now the server asked for; 0 when it named no time."""
        retry_at = error.retry_at if isinstance(error, (RateLimited, ServerFailed)) else None
        return 0.0 if retry_at is None else (retry_at - self.clock()).total_seconds()


def choose_attempts(window: Window | None) -> int:
    """Get how often a 5xx or a time-out is worth trying: less often where halving the window is left."""
    return HASTY if window is not None and window.width > _WIDE else PATIENT


def _get_error(state: RetryCallState) -> IPlumError | None:
    error = None if state.outcome is None else state.outcome.exception()
    return error if isinstance(error, IPlumError) else None


def _log(state: RetryCallState) -> None:
    error, wait = _get_error(state), 0.0 if state.next_action is None else state.next_action.sleep
    if error is not None:
        reason = f"{error.happened} ({error.detail})" if error.detail else error.happened
        _logger.warning("%s: %s; attempt %d, again in %.1f s", error.request, reason, state.attempt_number, wait)
