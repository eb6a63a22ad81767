"""The vendor's JSON records of one day, with their IDs, and records that are hard to parse."""

import hashlib
import json
import random
import re
import string
from dataclasses import dataclass, field
from uuid import UUID

from iplum_resource.standin.events import DAY, EXTERNAL_CALL, EXTERNAL_TEXT, FAX, IPLUM_CALL, IPLUM_TEXT, Event, day_of

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
    """The rows of one dataset and day as columns, sorted by start; times are epoch seconds."""

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


def format_day(events: list[Event], day: int, *, seed: int) -> Day:
    """Format a day's events as the vendor lists them; `events` are sorted by start."""
    rng = random.Random(f"{seed}:{day}:rows")  # noqa: S311 - invented data
    identifiers = Identifiers.of(seed, day)
    recorded = sorted(
        ((_start_recording(event, rng), event) for event in events if event.recorded), key=lambda pair: pair[0]
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
    """Return a start shortly after the call's, on the same day so that the ID can contain the day."""
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


ODD_MARK = "~"  # parts the id of an odd row from the id of the row it was made of

_UNKNOWN_FIELDS = ',"deviceType":"desk","routing":{"queue":"front","skills":["en","es"]},"flags":null}'


def add_unknown_fields(rows: list[str]) -> list[str]:
    """Add three undocumented fields to each row: a string, an object and a null."""
    return [row[:-1] + _UNKNOWN_FIELDS if row.startswith("{") else row for row in rows]


def build_odd_rows(row: str) -> list[str]:
    """Build three rows from a day's first call: an unreadable start, a null and an odd duration.

    They are returned with that call only, so that the halves of a window still add up.
    """
    fields = json.loads(row)
    time = "startTimeUTC" if "startTimeUTC" in fields else "dateTimeUTC"
    changes = ({time: "24/03/2023 25:61"}, {"duration": None}, {"duration": "two"})
    return [
        json.dumps(fields | {"recordId": f"{fields['recordId']}{ODD_MARK}{number}"} | change)
        for number, change in enumerate(changes)
    ]


def build_nameless_rows(row: str) -> list[str]:
    """Build a row without a record ID, and an element that is not an object."""
    fields = json.loads(row)
    del fields["recordId"]
    return [json.dumps(fields), '"maintenance"']


_ALPHABET = string.ascii_letters + string.digits
_USAGE = re.compile(r"[A-Za-z0-9]{23}\.([0-9a-f]{5})\.([0-9a-f]{8})")
_RECORDING = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-([0-9a-f]{12})([0-9a-f]{6})")
_MEDIA = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([a-z0-9]{3})")


@dataclass(frozen=True, slots=True)
class Identifiers:
    """The IDs of one day's rows; `day` counts from 1970-01-01."""

    day: int
    digest: bytes

    @classmethod
    def of(cls, seed: int, day: int) -> "Identifiers":
        """Return the IDs of a day, which differ by seed."""
        return cls(day, hashlib.sha256(f"{seed}:{day}:id".encode()).digest())

    def name_usage(self, count: int, rng: random.Random) -> list[str]:
        """Return IDs of usage records, shaped like the documented `0UmF….nGlAD.0Dgjdhpm`."""
        prefix = "".join(_ALPHABET[byte % 62] for byte in self.digest[:11])
        key, draw = int.from_bytes(self.digest[11:15]), rng.getrandbits
        form = f"{prefix}%012x.{self.day:05x}.%08x"
        return [form % (draw(48), index ^ key) for index in range(count)]

    def name_recordings(self, count: int, rng: random.Random) -> list[str]:
        """Return IDs of recordings, shaped like the documented UUID with six more characters."""
        middle = f"4{self.digest.hex()[:3]}-8{self.digest.hex()[3:6]}"
        key, draw = int.from_bytes(self.digest[15:21]), rng.getrandbits
        form = f"%08x-%04x-{middle}-%012x{self.day:06x}"
        return [form % (draw(32), draw(16), index ^ key) for index in range(count)]


def parse_usage_id(record_id: str, *, seed: int) -> tuple[int, int] | None:
    """Return the day and position in a usage record's ID, or None for another text."""
    match = _USAGE.fullmatch(record_id)
    if match is None:
        return None
    day = int(match[1], 16)
    return day, int(match[2], 16) ^ int.from_bytes(Identifiers.of(seed, day).digest[11:15])


def parse_recording_id(record_id: str, *, seed: int) -> tuple[int, int] | None:
    """Return the day and position in a recording's ID, or None for another text."""
    match = _RECORDING.fullmatch(record_id)
    if match is None:
        return None
    day = int(match[2], 16)
    return day, int(match[1], 16) ^ int.from_bytes(Identifiers.of(seed, day).digest[15:21])


def build_media_name(key: str, extension: str, *, seed: int) -> str:
    """Return the name of a record's media file, `<uuid>.<extension>`; half of the UUID authenticates the other."""
    half = hashlib.sha256(f"{seed}:{key}:media".encode()).digest()[:8]
    return f"{UUID(bytes=half + _prove(half, extension, seed=seed))}.{extension}"


def is_media_name(name: str, *, seed: int) -> bool:
    """Whether `build_media_name` returned this name for this seed."""
    match = _MEDIA.fullmatch(name)
    if match is None:
        return False
    value = UUID(match[1]).bytes
    return value[8:] == _prove(value[:8], match[2], seed=seed)


def _prove(half: bytes, extension: str, *, seed: int) -> bytes:
    return hashlib.sha256(half + f"{seed}:{extension}".encode()).digest()[:8]
