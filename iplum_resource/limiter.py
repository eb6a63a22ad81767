"""The ceiling on requests per second, one for all threads and processes that use an access key.

Belongs here: waiting for a turn, and lowering the rate when iPlum says so. The arithmetic is pyrate-limiter's
GCRA, which spreads requests evenly and needs one number kept between them: in a file when it is shared (its
SQLite bucket keeps a row per request and lets a whole second's requests go at once).
Does not belong here: what a request is, and how long to wait after a failed one (retry).
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from pyrate_limiter import GCRA, Rate

#: How much of a second's requests may go at once: enough to make up for an operating system's coarse sleep.
_BURST_SECONDS = 0.05
#: `slow_down` never goes under this part of the ceiling, and each success gives back this part of it.
_FLOOR = 0.1
_STEP_UP = 0.02
#: Requests already in flight are refused together: within this many seconds, that counts as one refusal.
_ONE_REFUSAL = 1.0
#: No waiting request reaches further ahead than this; what does was left by a clock that was set back.
_HORIZON_MS = 60_000
#: Microseconds since the epoch have 16 digits; a file with many more is not ours.
_DIGITS = 20


class Limiter:
    """Stay under the vendor's rate limit, however many threads and processes ask at once.

    `requests_per_second` is the ceiling, above 0. `file` names the file that processes share (made 0600, with
    a lock beside it, in a folder that exists): the ceiling then holds for all of them together; None keeps it
    to this object. `clock` gives seconds since the epoch. Raises ValueError for a ceiling that isn't above 0,
    OSError where the file can't be written.
    """

    def __init__(
        self,
        requests_per_second: float,
        *,
        file: str | None,
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
        self._arrival = _Arrival() if file is None else _SharedArrival(Path(file))

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


class _Arrival:
    """GCRA's one number, the time (µs since the epoch) at which the next request is due."""

    def __init__(self) -> None:
        self._due = 0

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep everybody else from reading and writing the number."""
        yield  # the limiter's own queue does, within one process

    def read(self) -> int:
        """Return the number, 0 where there is none."""
        return self._due

    def write(self, due: int) -> None:
        """Replace the number."""
        self._due = due


class _SharedArrival(_Arrival):
    """The same in a file, under a file lock."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        # The lock is held for some microseconds, so whoever finds it taken looks again soon.
        self._lock = FileLock(f"{file}.lock", mode=0o600, poll_interval=0.0005)
        with self._lock:
            os.close(self._open(os.O_RDWR))

    @contextmanager
    def hold(self) -> Iterator[None]:
        with self._lock:
            yield

    def read(self) -> int:
        text = self._file.read_bytes() if self._file.exists() else b""
        return int(text) if text.isdigit() and len(text) < _DIGITS else 0

    def write(self, due: int) -> None:
        with os.fdopen(self._open(os.O_WRONLY | os.O_TRUNC), "wb") as out:
            out.write(b"%d" % due)

    def _open(self, flags: int) -> int:
        return os.open(self._file, flags | os.O_CREAT, 0o600)
