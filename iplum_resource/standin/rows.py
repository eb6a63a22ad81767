"""The vendor's JSON for one day: documented keys, documented types, one text a row."""

import random
from dataclasses import dataclass, field

from iplum_resource.standin.events import (
    DAY,
    EXTERNAL_CALL,
    EXTERNAL_TEXT,
    FAX,
    IPLUM_CALL,
    IPLUM_TEXT,
    Event,
    day_of,
)
from iplum_resource.standin.identifiers import Identifiers

USAGE_TYPES = {
    "iPlumtext": IPLUM_TEXT,
    "iplumcall": IPLUM_CALL,
    "externalcall": EXTERNAL_CALL,
    "externaltext": EXTERNAL_TEXT,
    "fax": FAX,
}

_KIND_NAMES = {
    IPLUM_TEXT: ("text", "iplum"),
    IPLUM_CALL: ("call", "iplum"),
    EXTERNAL_CALL: ("call", "external"),
    EXTERNAL_TEXT: ("text", "external"),
    FAX: ("fax", "external"),
}
_MINUTES = tuple(f"T{minute // 60:02d}:{minute % 60:02d}:" for minute in range(DAY // 60))
_SECONDS = tuple(f"{second:02d}Z" for second in range(60))
_BYTES_PER_SECOND = 4000  # what a recording of speech takes, for its `length`


@dataclass(slots=True)
class Table:
    """Hold the rows of one data set and day as columns, sorted by start; times are epoch seconds."""

    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    lates: list[float] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    first_call: int | None = None


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day of the account."""

    usage: Table
    recordings: Table


def render_day(events: list[Event], day: int, *, seed: int) -> Day:
    """Write a day's events as the vendor would list them; `events` are sorted by start."""
    rng = random.Random(f"{seed}:{day}:rows")  # noqa: S311 - invented data
    identifiers = Identifiers.of(seed, day)
    recorded = sorted(
        ((_start_recording(event, rng), event) for event in events if event.recorded),
        key=lambda pair: pair[0],
    )
    return Day(
        _render_usage(events, identifiers.name_usage(len(events), rng), day=day),
        _render_recordings(recorded, identifiers.name_recordings(len(recorded), rng), day=day),
    )


def _render_usage(events: list[Event], names: list[str], *, day: int) -> Table:
    today, tomorrow = day_of(day).isoformat(), day_of(day + 1).isoformat()
    rows = []
    for event, name in zip(events, names, strict=True):
        start, end, kind, direction, sender, receiver, user, minutes, credit, _, _ = event
        reference = f'"{user.reference}"' if user.reference else "null"
        usage, category = _KIND_NAMES[kind]
        at, until = start % DAY, end % DAY
        starts = today + _MINUTES[at // 60] + _SECONDS[at % 60]
        ends = (today if until >= at else tomorrow) + _MINUTES[until // 60] + _SECONDS[until % 60]
        rows.append(
            f'{{"source":"iPlum","clientReferenceId":{reference},"usage":"{usage}","recordId":"{name}",'
            f'"from":"{sender}","to":"{receiver}","startTimeUTC":"{starts}","endTimeUTC":"{ends}",'
            f'"duration":"{minutes}","direction":"{direction}","type":"{category}",'
            f'"iPlumCredits":{"null" if credit is None else credit},"userId":"{user.login}"}}'
        )
    kinds = [event.kind for event in events]
    return Table(
        starts=[event.start for event in events],
        ends=[event.end for event in events],
        kinds=kinds,
        lates=[event.late for event in events],
        rows=rows,
        first_call=kinds.index(EXTERNAL_CALL) if EXTERNAL_CALL in kinds else None,
    )


def _start_recording(event: Event, rng: random.Random) -> int:
    """Start a recording shortly after its call, and on the same day so that its id can name the day."""
    last_second = event.start - event.start % DAY + DAY - 1
    return min(event.start + 2 + int(7 * rng.random()), last_second)


def _render_recordings(recorded: list[tuple[int, Event]], names: list[str], *, day: int) -> Table:
    today = day_of(day).isoformat()
    table = Table(first_call=0 if recorded else None)
    for (start, event), name in zip(recorded, names, strict=True):
        reference = f'"{event.user.reference}"' if event.user.reference else "null"
        end = max(event.end, start)
        number = event.sender if event.direction == "in" else event.receiver
        seconds = start % DAY
        starts = today + _MINUTES[seconds // 60] + _SECONDS[seconds % 60]
        length = _describe_length((end - start or 60) * _BYTES_PER_SECOND)
        table.rows.append(
            f'{{"source":"iPlum","clientReferenceId":{reference},"recordId":"{name}",'
            f'"phonenumber":"{number}","dateTimeUTC":"{starts}","duration":"{event.minutes}",'
            f'"direction":"{event.direction}","length":"{length}","userId":"{event.user.login}"}}'
        )
        table.starts.append(start)
        table.ends.append(end)
        table.kinds.append(event.kind)
        table.lates.append(event.late)
    return table


def _describe_length(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1_000_000 else f"{size / 1e3:.1f} KB"
