"""Business hours as in `mon-fri 09:00-17:00`."""

import re
from dataclasses import dataclass

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTES = 24 * 60
_PART = re.compile(
    r"(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))?\s+(?P<opens>\d\d:\d\d)-(?P<closes>\d\d:\d\d)", re.IGNORECASE
)
_FORM = "parts such as 'mon-fri 09:00-17:00', separated by commas"


@dataclass(frozen=True, order=True)
class OpenInterval:
    """One interval of a weekday, 1 (Monday) to 7, in minutes of local time: from `opens` up to `closes`."""

    weekday: int
    opens: int
    closes: int


def parse_business_hours(text: str) -> tuple[OpenInterval, ...]:
    """Parse business hours into intervals that do not overlap, in order of the week; raises `ValueError`.

    `mon-thu 08:00-18:00, fri 08:00-13:00` has two parts; `sat-mon` spans the end of the week; hours that close
    before they open, such as `22:00-06:00`, continue on the next day; `24:00` is the end of the day.
    """
    intervals: list[OpenInterval] = []
    for day, minute in sorted(set().union(*(_parse_part(part.strip()) for part in text.split(",")))):
        if intervals and (intervals[-1].weekday, intervals[-1].closes) == (day, minute):
            intervals[-1] = OpenInterval(day, intervals[-1].opens, minute + 1)
        else:
            intervals.append(OpenInterval(day, minute, minute + 1))
    return tuple(intervals)


def _parse_part(part: str) -> set[tuple[int, int]]:
    match = _PART.fullmatch(part)
    if match is None:
        raise ValueError(f"business hours must be {_FORM}")
    first, last = match["first"].lower(), (match["last"] or match["first"]).lower()
    if first not in _DAYS or last not in _DAYS:
        raise ValueError(f"days must be {', '.join(_DAYS)}; business hours must be {_FORM}")
    opens, closes = _parse_time(match["opens"]), _parse_time(match["closes"])
    if opens in (closes, _MINUTES):
        raise ValueError(f"business hours must open before they close; {_FORM}")
    begin = _DAYS.index(first)
    days = [(begin + step) % 7 for step in range((_DAYS.index(last) - begin) % 7 + 1)]
    length = (closes - opens) % _MINUTES or _MINUTES - opens
    return {
        ((day + (opens + step) // _MINUTES) % 7 + 1, (opens + step) % _MINUTES)
        for day in days
        for step in range(length)
    }


def _parse_time(text: str) -> int:
    hours, minutes = map(int, text.split(":"))
    if minutes > 59 or hours * 60 + minutes > _MINUTES:
        raise ValueError(f"times must be from 00:00 to 24:00; business hours must be {_FORM}")
    return hours * 60 + minutes
