"""The limit on requests per second, shared by all threads, processes and machines that use an access key."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from pyrate_limiter import GCRA, Decision, InMemoryStateStore, Rate, StateStore

from iplum_resource.errors import RateLimited

#: Share of a second's requests that may be sent at once: enough to make up for the coarse sleep of an OS.
_BURST_SECONDS = 0.05
#: Lowest rate that `slow_down` sets, and the step by which each success raises it, as parts of the maximum.
_MIN_PART = 0.1
_STEP_UP = 0.02
#: Requests in flight are rejected together: rejections within this many seconds count as one.
_SAME_REJECTION_SECONDS = 1.0
#: A state further ahead than this was left by a clock that has since been set back.
_MAX_AHEAD_MS = 60_000
#: A longer `Retry-After` is implausible and holds for its own request only.
_LONGEST_PENALTY_US = 24 * 3600 * 1_000_000


@dataclass(frozen=True)
class _Penalized(Decision):
    """A refused request during a penalty."""


class _ClockTolerantGCRA(GCRA):
    """The generic cell rate algorithm, starting over when the stored time is impossibly far ahead.

    The second number of the state is the end of iPlum's penalty, in microseconds since the epoch, or 0.
    """

    def initial(self, rates: list[Rate]) -> tuple[float, ...]:  # noqa: ARG002 - overrides
        return 0, 0

    def step(
        self, rates: list[Rate], state: tuple[float, ...], now: int, weight: int
    ) -> tuple[tuple[float, ...], Decision]:
        (rate,), (due, penalty) = rates, state
        if 0 < (left := penalty - now * 1000) <= _LONGEST_PENALTY_US:
            return state, _Penalized(rate, math.ceil(left / 1000))
        longest_queue_ms = rate.burst * rate.interval / rate.limit / _MIN_PART
        if due > (now + _MAX_AHEAD_MS + longest_queue_ms) * 1000:
            due = 0
        (due,), decision = super().step(rates, (due,), now, weight)
        return (due, penalty), decision


class _Penalty(_ClockTolerantGCRA):
    """A step that extends the penalty to `now`."""

    def step(
        self,
        rates: list[Rate],  # noqa: ARG002 - overrides
        state: tuple[float, ...],
        now: int,
        weight: int,  # noqa: ARG002 - overrides
    ) -> tuple[tuple[float, ...], Decision]:
        (due, penalty), end = state, now * 1000
        is_plausible = penalty <= end + _LONGEST_PENALTY_US
        return (due, max(penalty, end) if is_plausible else end), Decision()


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
        # A store in a database has one connection, whose transactions must not mix.
        self._storing = threading.Lock()
        self._algorithm = _ClockTolerantGCRA()
        self._store = store or InMemoryStateStore()

    @property
    def requests_per_second(self) -> float:
        """The current rate of this process."""
        return self._maximum * self._part

    def acquire(self, request: str = "the next request", *, longest_penalty: float = math.inf) -> None:
        """Block until one request may be sent.

        Threads of a process queue here, so that only one at a time competes with other processes.

        Raises:
            RateLimited: iPlum's penalty ends in more than `longest_penalty` seconds.

        """
        with self._queue:
            while not (decision := self._check()).allowed:
                seconds = (decision.retry_after_ms or 1) / 1000
                if isinstance(decision, _Penalized) and seconds > longest_penalty:
                    raise RateLimited(request, datetime.fromtimestamp(self._clock() + seconds, UTC))
                self._sleep(seconds)

    def penalize(self, until: datetime) -> None:
        """Block all users of the store until iPlum accepts requests again; ignored if over a day ahead."""
        milliseconds = math.ceil(until.timestamp() * 1000)
        if milliseconds * 1000 - self._clock() * 1_000_000 <= _LONGEST_PENALTY_US:
            with self._storing:
                self._store.check(_Penalty(), [self._rate], milliseconds, 1)

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

    @property
    def _rate(self) -> Rate:
        per_second = self.requests_per_second
        # A rate is a whole number of requests: over a thousand seconds, 2.5 per second is one too.
        burst = max(1, int(per_second * _BURST_SECONDS))
        return Rate(max(1, round(per_second * 1000)), 1_000_000, burst=burst)

    def _check(self) -> Decision:
        # Our stores answer at once; the union with an awaitable is for asynchronous ones.
        with self._storing:
            return cast("Decision", self._store.check(self._algorithm, [self._rate], int(self._clock() * 1000), 1))
