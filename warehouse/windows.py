"""Storage windows: the five-day intervals by which raw responses and lake files are partitioned.

The window of one request is `iplum_resource.window`; Dagster's partitions are `pipelines.defs.partitions`.
"""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

_STEP_DAYS = 5


@dataclass(frozen=True, order=True)
class StorageWindow:
    """One interval `[start, end)` of UTC days; ordered by time.

    Windows start on the 1st, 6th, 11th, 16th, 21st, 26th and 31st of a month, so none is longer than five days and
    each instant lies in exactly one. Build one with `window_of` or `window_of_key`.
    """

    first_day: date

    @property
    def key(self) -> str:
        """The window's first day, `YYYY-MM-DD`; its name everywhere."""
        return self.first_day.isoformat()

    @property
    def start(self) -> datetime:
        """The first instant of the window (UTC)."""
        return datetime.combine(self.first_day, time(), UTC)

    @property
    def end(self) -> datetime:
        """The start of the next window (UTC)."""
        return self.next().start

    def next(self) -> "StorageWindow":
        """Return the next window."""
        day = self.first_day.day + _STEP_DAYS
        last_day = calendar.monthrange(self.first_day.year, self.first_day.month)[1]
        if day <= last_day:
            return StorageWindow(self.first_day.replace(day=day))
        return StorageWindow((self.first_day.replace(day=1) + timedelta(days=31)).replace(day=1))

    def __str__(self) -> str:
        return self.key


WindowKey = tuple[str, StorageWindow]
"""An account's name and a window."""


def window_of(instant: datetime | date) -> StorageWindow:
    """Return the window of an instant (aware, any zone) or of a UTC day."""
    day = instant.astimezone(UTC).date() if isinstance(instant, datetime) else instant
    return StorageWindow(day.replace(day=day.day - (day.day - 1) % _STEP_DAYS))


def window_of_key(key: str) -> StorageWindow:
    """Parse a window's key; raises `ValueError` if the text is not the first day of a window."""
    window = window_of(date.fromisoformat(key))
    if window.key != key:
        raise ValueError(f"{key!r} is not the first day of a window; {window.key!r} is")
    return window


def windows_between(since: datetime, until: datetime) -> Iterator[StorageWindow]:
    """Yield the windows that overlap `[since, until)`, oldest first."""
    window = window_of(since)
    while since < until and window.start < until:
        yield window
        window = window.next()
