"""A client with fake credentials, and a clock that advances only in `sleep`."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from iplum_resource.client import IPlumClient
from iplum_resource.credentials import Credentials
from iplum_resource.limits.rate_limiter import RateLimiter
from iplum_resource.window import Window
from warehouse.raw.lenient_json import parse_json

CREDENTIALS = Credentials("CANARY-access-4711", "CANARY-secret-0815", "Canary.Login@Clinic.example")
WIDE = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 6, tzinfo=UTC))
NARROW = Window(WIDE.start, WIDE.start + timedelta(hours=1))
RECORDS = b'[{"recordId": "r-1", "usage": "call"}]'


class Clock:
    """A UTC wall clock that advances only in `sleep`; `slept` lists the seconds of each call."""

    def __init__(self) -> None:
        self._started = self._now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._started).total_seconds()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self._now += timedelta(seconds=seconds)


def build_client(base_url: str, clock: Clock | None = None, **options: Any) -> IPlumClient:
    clock = clock or Clock()
    defaults: dict[str, Any] = {
        "limiter": RateLimiter(1_000_000),
        "base_url": base_url,
        "clock": clock.now,
        "sleep": clock.sleep,
        "random": lambda: 1.0,
        "read_timeout": 20,
        "parse_invalid": parse_json,
    }
    return IPlumClient(CREDENTIALS, **{**defaults, **options})
