"""Generated rows of two accounts: 30,000 usage records from October to March, with both clock changes in New York."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from tests.support.mart_database import Row, pull
from warehouse.people.directory import build_directory
from warehouse.people.entry import Entry
from warehouse.windows import window_of, windows_between

BEGIN = datetime(2025, 10, 20, tzinfo=UTC)
DAYS = 150
ROWS = 30_000
#: Each window is pulled this many days after its start.
PULLED_AFTER = (1, 4, 9)
_USERS = [f"user{number}@clinic.example" for number in range(9)]
_CLIENTS = [f"+1408555{number:04d}" for number in range(100, 400)]

#: Names of most parties. Every third number changes hands, and every third user the team, on 10 January.
_CHANGE = date(2026, 1, 10)


def _invent_people() -> Iterator[Entry]:
    for number, party in enumerate([*_USERS, *_CLIENTS]):
        parties = {"logins": (party,)} if "@" in party else {"numbers": (party,)}
        for turn, (first, last) in enumerate([(None, _CHANGE - timedelta(days=1)), (_CHANGE, None)]):
            if number % 7:
                yield Entry(
                    name=f"Person {number}.{turn if number % 3 == 0 else 0}",
                    team=f"Team {(number + turn * (number % 3 == 0)) % 4}" if number % 5 else None,
                    reference=f"C-{number % 50}" if number % 2 else None,
                    valid_from=first,
                    valid_until=last,
                    source="people.csv",
                    line=number,
                    numbers=parties.get("numbers", ()),
                    logins=parties.get("logins", ()),
                )


PEOPLE = build_directory(list(_invent_people()), "US")


def generate_rows(seed: int = 7) -> tuple[list[Row], list[Row], list[Row]]:
    """Generate rows of `usage`, `recordings` and `pulls`; the same seed gives the same rows."""
    rng = random.Random(seed)
    usage: list[Row] = []
    while len(usage) < ROWS:
        usage += _generate_chat(rng, len(usage))
    recordings = [
        _generate_recording(rng, call, number)
        for number, call in enumerate(usage)
        if call["channel"] == "call" and call["started_at"] and rng.random() < 0.4
    ]
    windows = list(windows_between(BEGIN, BEGIN + timedelta(days=DAYS)))
    pulls = [
        pull(window.key, f"{pulled_at:%Y-%m-%d %H:%M}", dataset=dataset, account=account)
        for account in ("default", "second")
        for window in windows
        for dataset in ("usage", "recordings")
        for pulled_at in (window.start + timedelta(days=after) for after in PULLED_AFTER)
    ]
    return usage[:ROWS], recordings, pulls


def _generate_chat(rng: random.Random, first: int) -> list[Row]:
    """Generate records of one user and one counterparty within hours; internal ones may have a mirrored record."""
    user = rng.choice(_USERS)
    is_internal = rng.random() < 0.15
    other = (
        rng.choice([one for one in _USERS if one != user]) if is_internal else _CLIENTS[int(300 * rng.random() ** 3)]
    )
    at = BEGIN + timedelta(seconds=rng.randrange(DAYS * 86_400 - 40_000))
    rows: list[Row] = []
    for _ in range(rng.randint(1, 8)):
        at += timedelta(seconds=rng.choice([0, 1, 3, 30, 400, 4_000]))
        row = _generate_row(
            rng, f"r{(first + len(rows)) * 7919 % 1_000_003:07d}", at, (user, other), is_internal=is_internal
        )
        rows.append(row)
        if is_internal and rng.random() < 0.8:
            rows.append(_generate_mirror(rng, row, f"m{row['record_id']}"))
    return rows


def _generate_row(
    rng: random.Random, record_id: str, at: datetime, parties: tuple[str, str], *, is_internal: bool
) -> Row:
    user, other = parties
    channel = rng.choices(["call", "text", "fax"], [40, 55, 5])[0]
    direction = rng.choice(["in", "out"])
    start = None if rng.random() < 0.002 else at
    length = rng.randrange(1, 1_500) if channel == "call" else 0
    return {
        "account": "default" if rng.random() < 0.9 else "second",
        "record_id": record_id,
        "client_reference_id": rng.choice(["a", "b", None]),
        "channel": channel,
        "type": "iplum" if is_internal else "external",
        "direction": direction,
        "from_party": other if direction == "in" else user,
        "to_party": user if direction == "in" else other,
        "counterparty": None if rng.random() < 0.002 else other,
        "counterparty_kind": "login" if is_internal else "phone",
        "user_id": None if rng.random() < 0.002 else user,
        "started_at": start,
        "ended_at": None if start is None or rng.random() < 0.01 else start + timedelta(seconds=length),
        "duration_minutes": None if rng.random() < 0.01 else float(-(-length // 60) or 1),
        "credits": rng.choice([None, 0.0, 1.0, 2.5]),
        "origin": rng.choices(["pull", "both", "callback"], [10, 85, 5])[0],
        "first_seen_at": _generate_first_seen(rng, at),
        "absent_since": at if rng.random() < 0.01 else None,
        "window_start": window_of(at).first_day,
    }


def _generate_first_seen(rng: random.Random, at: datetime) -> datetime:
    """Return a pull of the window in half of the cases, otherwise a random time."""
    if rng.random() < 0.5:
        return window_of(at).start + timedelta(days=rng.choice(PULLED_AFTER))
    return at + timedelta(seconds=rng.randrange(900_000))


def _generate_mirror(rng: random.Random, row: Row, record_id: str) -> Row:
    is_outbound = row["direction"] == "out"
    start = row["started_at"]
    shifted = None if start is None else start + timedelta(seconds=rng.choice([0, 0, 1, 5, 6]))
    return {
        **row,
        "record_id": record_id,
        "direction": "in" if is_outbound else "out",
        "user_id": row["to_party"] if is_outbound else row["from_party"],
        "counterparty": row["from_party"] if is_outbound else row["to_party"],
        "started_at": shifted,
        "ended_at": shifted,
    }


def _generate_recording(rng: random.Random, call: Row, number: int) -> Row:
    at = call["started_at"] + timedelta(seconds=rng.choice([2, 4, 40, 700, 4_000]))
    return {
        "account": call["account"],
        "record_id": f"rec{number:06d}",
        "phone_number": call["counterparty"],
        "direction": call["direction"],
        "user_id": call["user_id"],
        "recorded_at": None if rng.random() < 0.01 else at,
        "origin": "pull",
        "first_seen_at": at + timedelta(hours=5),
        "window_start": window_of(at).first_day,
    }
