"""When a fault strikes: by count or by a seeded draw, never by chance."""

import hashlib
import math
from collections import Counter, deque


class Faults:
    """Decide for each request whether a fault strikes; the n-th request always meets the same fate.

    Not for several threads: the event loop asks.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._asked: Counter[str] = Counter()

    def strike(self, name: str, *, first: int = 0, share: float = 0) -> bool:
        """Tell whether the fault strikes now: the `first` requests, and then a `share` of all."""
        count = self._asked[name]
        self._asked[name] += 1
        return count < first or self._draw(name, count) < share

    def _draw(self, name: str, count: int) -> float:
        digest = hashlib.sha256(f"{self._seed}:{name}:{count}".encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64


class RateLimit:
    """Hold requests to so many a second, over a window that slides; times are monotonic seconds."""

    def __init__(self, per_second: float) -> None:
        self._span = max(1.0, 1 / per_second)
        self._allowed = int(per_second * self._span)
        self._taken: deque[float] = deque()

    def wait_for(self, now: float) -> int:
        """Take one request in and give 0, or give the whole seconds after which it may come again."""
        while self._taken and self._taken[0] <= now - self._span:
            self._taken.popleft()
        if len(self._taken) < self._allowed:
            self._taken.append(now)
            return 0
        return max(1, math.ceil(self._taken[0] + self._span - now))
