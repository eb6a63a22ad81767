"""The occurrence of faults: by count or by a seeded random draw."""

import hashlib
import math
from collections import Counter, deque


class Faults:
    """Decides per request whether a fault occurs; the n-th request always has the same result.

    Used by the event loop only, not by several threads.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._counts: Counter[str] = Counter()

    def occurs(self, name: str, *, first: int = 0, share: float = 0) -> bool:
        """Whether the fault occurs now: for the `first` requests, then for a `share` of all."""
        count = self._counts[name]
        self._counts[name] += 1
        return count < first or self._draw(name, count) < share

    def _draw(self, name: str, count: int) -> float:
        digest = hashlib.sha256(f"{self._seed}:{name}:{count}".encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64


class RateLimit:
    """A sliding-window limit on requests per second; times are monotonic seconds."""

    def __init__(self, per_second: float) -> None:
        self._span = max(1.0, 1 / per_second)
        self._allowed = int(per_second * self._span)
        self._taken: deque[float] = deque()

    def wait_for(self, now: float) -> int:
        """Accept a request and return 0, or return the whole seconds until it may be sent again."""
        while self._taken and self._taken[0] <= now - self._span:
            self._taken.popleft()
        if len(self._taken) < self._allowed:
            self._taken.append(now)
            return 0
        return max(1, math.ceil(self._taken[0] + self._span - now))
