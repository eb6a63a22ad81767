"""Calculations shared by the expected marts: grouping, sums, quantiles, local time and business hours."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from tests.support.mart_database import Row

#: Time zones and business hours of the accounts: Monday to this weekday (ISO), and opening and closing time.
ZONES = {"default": ZoneInfo("America/New_York"), "second": ZoneInfo("Australia/Sydney")}
HOURS = {"default": (5, time(9), time(17)), "second": (6, time(8, 30), time(18))}
LOOKBACK = {"default": 7, "second": 3}
CHANNELS = {"call": "calls", "text": "texts", "fax": "faxes"}
DISTANT_PAST = datetime(1, 1, 1, tzinfo=ZoneInfo("UTC"))

Key = tuple[Any, ...]


def to_local(account: str, at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(ZONES[account])


def to_local_date(account: str, at: datetime | None) -> date | None:
    moment = to_local(account, at)
    return None if moment is None else moment.date()


def sum_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def sum_minutes(rows: Iterable[Row]) -> float | None:
    return sum_known(row["duration_minutes"] for row in rows if row["channel"] == "call")


def sum_credits(rows: Iterable[Row]) -> float | None:
    return sum_known(row["credits"] for row in rows)


def group_by(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    groups: dict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def count_distinct(rows: Iterable[Row], name: str) -> int:
    return len({row[name] for row in rows} - {None})


def sort_by_start(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["started_at"], row["record_id"]))


def find_latest(rows: Iterable[Row]) -> Row:
    """Return the latest record with a start, or any if none has one."""
    dated = [row for row in rows if row["started_at"]]
    return sort_by_start(dated)[-1] if dated else next(iter(rows))


def list_days(first: date, last: date) -> Iterator[date]:
    yield from (first + timedelta(days=step) for step in range((last - first).days + 1))


def compute_quantile(values: list[float], share: float) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def count_by_channel(rows: list[Row]) -> dict[str, int]:
    return {
        f"{name}_{direction}": sum(row["channel"] == channel and row["direction"] == direction for row in rows)
        for channel, name in CHANNELS.items()
        for direction in ("in", "out")
    }


def is_open(account: str, at: datetime) -> bool:
    last, opens, closes = HOURS[account]
    moment = at.astimezone(ZONES[account])
    return moment.isoweekday() <= last and opens <= moment.time() < closes


def _list_open_intervals(account: str) -> list[tuple[datetime, datetime]]:
    last, *times = HOURS[account]
    utc = ZoneInfo("UTC")
    return [
        tuple(datetime.combine(day, at, ZONES[account]).astimezone(utc) for at in times)  # type: ignore[misc]
        for day in list_days(date(2025, 10, 1), date(2026, 6, 1))
        if day.isoweekday() <= last
    ]


_OPEN_INTERVALS = {account: _list_open_intervals(account) for account in ZONES}
_OPENINGS = {account: [opens for opens, _ in hours] for account, hours in _OPEN_INTERVALS.items()}
assert all(earlier[1] <= later[0] for hours in _OPEN_INTERVALS.values() for earlier, later in pairwise(hours))


def compute_business_seconds(account: str, start: datetime, end: datetime) -> float:
    """Return the seconds between two instants that are within business hours."""
    seconds = 0.0
    for opens, closes in _OPEN_INTERVALS[account][max(bisect_right(_OPENINGS[account], start) - 1, 0) :]:
        if opens >= end:
            break
        seconds += max((min(closes, end) - max(opens, start)).total_seconds(), 0)
    return seconds
