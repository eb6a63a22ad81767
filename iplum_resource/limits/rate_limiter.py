"""The limit on requests per second, shared by all threads, processes and machines that use an access key."""

import threading
import time
from collections.abc import Callable
from typing import cast

from pyrate_limiter import GCRA, Decision, InMemoryStateStore, Rate, StateStore

#: Share of a second's requests that may be sent at once: enough to make up for the coarse sleep of an OS.
_BURST_SECONDS = 0.05
#: Lowest rate that `slow_down` sets, and the step by which each success raises it, as parts of the maximum.
_MIN_PART = 0.1
_STEP_UP = 0.02
#: Requests in flight are rejected together: rejections within this many seconds count as one.
_SAME_REJECTION_SECONDS = 1.0
#: A state further ahead than this was left by a clock that has since been set back.
_MAX_AHEAD_MS = 60_000


class _ClockTolerantGCRA(GCRA):
    """The generic cell rate algorithm, starting over when the stored time is impossibly far ahead."""

    def step(
        self, rates: list[Rate], state: tuple[float, ...], now: int, weight: int
    ) -> tuple[tuple[float, ...], Decision]:
        (rate,) = rates
        longest_queue_ms = rate.burst * rate.interval / rate.limit / _MIN_PART
        if state[0] > (now + _MAX_AHEAD_MS + longest_queue_ms) * 1000:
            state = self.initial(rates)
        return super().step(rates, state, now, weight)


class RateLimiter:
    """A rate limit for all users of one state store.

    Args:
        requests_per_second: The maximum rate, above 0.
        store: The shared state; without one, the limit holds for the threads of this object only.
        clock: Returns seconds since the epoch.

    Raises:
        ValueError: The maximum rate is not above 0.

    """

    def __init__(
        self,
        requests_per_second: float,
        *,
        store: StateStore | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not 0 < requests_per_second < float("inf"):
            raise ValueError(f"requests per second must be above 0, not {requests_per_second}")
        self._maximum = requests_per_second
        self._part = 1.0
        self._rejected_at = float("-inf")
        self._clock, self._sleep = clock, sleep
        self._queue, self._tuning = threading.Lock(), threading.Lock()
        self._algorithm = _ClockTolerantGCRA()
        self._store = store or InMemoryStateStore()

    @property
    def requests_per_second(self) -> float:
        """The current rate of this process."""
        return self._maximum * self._part

    def acquire(self) -> None:
        """Block until one request may be sent.

        Threads of a process queue here, so that only one at a time competes with other processes.
        """
        with self._queue:
            while not (decision := self._check()).allowed:
                self._sleep((decision.retry_after_ms or 1) / 1000)

    def slow_down(self) -> None:
        """Halve this process's rate after HTTP 429, down to a tenth of the maximum.

        Rejections within one second count once: they belong to requests that were already in flight.
        """
        with self._tuning:
            now = self._clock()
            if abs(now - self._rejected_at) >= _SAME_REJECTION_SECONDS:
                self._part = max(_MIN_PART, self._part / 2)
                self._rejected_at = now

    def speed_up(self) -> None:
        """Raise the rate by a fiftieth of the maximum after a successful request."""
        with self._tuning:
            self._part = min(1.0, self._part + _STEP_UP)

    def _check(self) -> Decision:
        per_second = self.requests_per_second
        # A rate is a whole number of requests: over a thousand seconds, 2.5 per second is one too.
        burst = max(1, int(per_second * _BURST_SECONDS))
        rate = Rate(max(1, round(per_second * 1000)), 1_000_000, burst=burst)
        # Our stores answer at once; the union with an awaitable is for asynchronous ones.
        return cast("Decision", self._store.check(self._algorithm, [rate], int(self._clock() * 1000), 1))
