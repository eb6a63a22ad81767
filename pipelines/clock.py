"""The clock, which is an argument of everything that depends on the time."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def now() -> datetime:
    """Return the time (UTC)."""
    return datetime.now(UTC)
