"""The ceiling on requests per second, one for all threads and processes that use an access key."""

import threading
import time
from collections.abc import Callable

from pyrate_limiter import GCRA, Rate

from iplum_resource.limits.rate_limit_state import RateLimitState

#: How much of a second's requests may go at once: enough to make up for an operating system's coarse sleep.
_BURST_SECONDS = 0.05
#: `slow_down` never goes under this part of the ceiling, and each success gives back this part of it.
_FLOOR = 0.1
_STEP_UP = 0.02
#: Requests already in flight are refused together: within this many seconds, that counts as one refusal.
_ONE_REFUSAL = 1.0
#: No waiting request reaches further ahead than this; what does was left by a clock that was set back.
_HORIZON_MS = 60_000


class RateLimiter:
    """Stay under the vendor's rate limit, however many threads and processes ask at once.

    `requests_per_second` is the ceiling, above 0; it holds for all who share the same `arrival`, the threads of
    this object where none is given. `clock` gives seconds since the epoch. Raises ValueError for a ceiling that
    isn't above 0, and what `arrival` raises where its number can't be kept.
    """

    def __init__(
        self,
        requests_per_second: float,
        *,
        arrival: RateLimitState | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not 0 < requests_per_second < float("inf"):
            raise ValueError(f"requests per second must be above 0, not {requests_per_second}")
        self._ceiling = requests_per_second
        self._part = 1.0
        self._refused_at = float("-inf")
        self._clock, self._sleep = clock, sleep
        self._queue, self._tuning = threading.Lock(), threading.Lock()
        self._arrival = arrival or RateLimitState()

    @property
    def requests_per_second(self) -> float:
        """The rate that this process keeps to at present."""
        return self._ceiling * self._part

    def acquire(self) -> None:
        """Return when it is this caller's turn to send one request.

        Threads of a process queue here, so that only one at a time competes with other processes.
        """
        with self._queue:
            while (wait := self._take_turn()) > 0:
                self._sleep(wait)

    def slow_down(self) -> None:
        """Halve this process's rate because iPlum answered 429, down to a tenth of the ceiling.

        Refusals within one second count once: they answer requests that were already on their way.
        """
        with self._tuning:
            now = self._clock()
            if abs(now - self._refused_at) >= _ONE_REFUSAL:
                self._part = max(_FLOOR, self._part / 2)
                self._refused_at = now

    def speed_up(self) -> None:
        """Give back a fiftieth of the ceiling because a request succeeded."""
        with self._tuning:
            self._part = min(1.0, self._part + _STEP_UP)

    def _take_turn(self) -> float:
        """Count one request and return 0, or count none and return how many seconds to wait."""
        rate, now = self._rate(), int(self._clock() * 1000)
        with self._arrival.hold():
            expected = self._arrival.read()
            longest = rate.burst * rate.interval / rate.limit / _FLOOR
            if expected > (now + _HORIZON_MS + longest) * 1000:
                expected = 0
            (following,), decision = GCRA().step([rate], (expected,), now, 1)
            if decision.allowed:
                self._arrival.write(int(following))
                return 0
        return (decision.retry_after_ms or 1) / 1000

    def _rate(self) -> Rate:
        per_second = self.requests_per_second
        # A rate is a whole number of requests: over a thousand seconds, 2.5 per second is one too.
        burst = max(1, int(per_second * _BURST_SECONDS))
        return Rate(max(1, round(per_second * 1000)), 1_000_000, burst=burst)
