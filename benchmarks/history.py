"""Invented records as columns. API responses and lake files of the benchmarks are both built from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np

from warehouse.windows import StorageWindow, windows_between

Column = np.ndarray[Any, Any]

USERS = 200
CONTACTS_PER_USER = 100
#: Channel and type of the five kinds of records. `_SHARES` has the share of each.
KINDS = (("text", "external"), ("call", "external"), ("text", "iplum"), ("call", "iplum"), ("fax", "external"))
_SHARES = (0.55, 0.35, 0.05, 0.03, 0.02)
_ID_BYTES = 14

LOGINS = tuple(f"user{number:03d}@clinic.example" for number in range(USERS))
NUMBERS = tuple(f"+1408555{number:05d}" for number in range(USERS * CONTACTS_PER_USER))
CLIENTS = tuple(str(1234 + number % 4) for number in range(USERS))


@dataclass(frozen=True)
class Span:
    """Size of a history: UTC days from `first` up to `last` (excluded), and the approximate total number of rows."""

    first: date
    last: date
    rows: int

    def windows(self) -> list[StorageWindow]:
        """Return the windows of the span, oldest first."""
        midnight = time(tzinfo=UTC)
        return list(windows_between(datetime.combine(self.first, midnight), datetime.combine(self.last, midnight)))

    def sizes(self) -> list[int]:
        """Return the number of rows per window: similar, all different, and none a multiple of 50, a likely row cap."""
        windows = len(self.windows())
        base = max(1, self.rows // windows - windows // 2)
        counts = (count for count in range(base, base + 2 * windows + 100) if count % 50)
        # The newest window is the largest, so that a year and ten years have the same largest window.
        return [next(counts) for _ in range(windows)]


@dataclass(frozen=True)
class Records:
    """The records of one window as columns, sorted by start.

    `starts` and `ends` are epoch seconds. `kinds` and `users` are indexes into `KINDS` and `LOGINS`. `contacts` are
    indexes into `LOGINS` for internal records, else into `NUMBERS`. `inbound` is boolean.
    """

    ids: list[str]
    starts: Column
    ends: Column
    kinds: Column
    users: Column
    contacts: Column
    inbound: Column
    minutes: Column
    credits: Column

    @property
    def internal(self) -> Column:
        """Whether the counterparty is a user of the account."""
        return _are_internal(self.kinds)


def invent(window: StorageWindow, rows: int, *, seed: int = 0) -> Records:
    """Generate the records of a window, reproducibly for a seed."""
    random = np.random.default_rng([seed, window.first_day.toordinal()])
    first, last = int(window.start.timestamp()), int(window.end.timestamp())
    kinds = random.choice(len(KINDS), rows, p=_SHARES)
    users = random.integers(0, USERS, rows)
    internal = _are_internal(kinds)
    is_call = np.array([channel == "call" for channel, _ in KINDS])[kinds]
    minutes = np.where(is_call, random.integers(1, 21, rows), 1)
    starts = np.sort(random.integers(first, last, rows))
    return Records(
        ids=list(_generate_ids(window, rows, random)),
        starts=starts,
        ends=np.where(is_call, starts + minutes * 60 - 17, starts),
        kinds=kinds,
        users=users,
        contacts=np.where(
            internal,
            (users + random.integers(1, USERS, rows)) % USERS,
            users * CONTACTS_PER_USER + random.integers(0, CONTACTS_PER_USER, rows),
        ),
        inbound=random.random(rows) < 0.5,
        minutes=minutes,
        credits=random.integers(1, 6, rows),
    )


def _are_internal(kinds: Column) -> Column:
    return np.array([category == "iplum" for _, category in KINDS])[kinds]


def _generate_ids(window: StorageWindow, rows: int, random: np.random.Generator) -> Iterator[str]:
    """Generate ids in the format of the documented example, unique over all windows."""
    noise = random.bytes(_ID_BYTES * rows).hex()
    day = window.first_day.toordinal()
    width = 2 * _ID_BYTES
    return (f"{noise[width * row : width * (row + 1)]}.{day:d}{row:04d}" for row in range(rows))
