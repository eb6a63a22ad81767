"""Thirty thousand invented records over a winter, with both clock changes of New York in it."""

import random
from datetime import UTC, datetime, timedelta

from tests.support.mart_history import Row, pulled
from warehouse.windows import window_of, windows_between

BEGIN = datetime(2025, 10, 20, tzinfo=UTC)
DAYS = 150
ROWS = 30_000
#: Days after its start on which each window is pulled.
PULLED_AFTER = (1, 4, 9)
_USERS = [f"user{number}@clinic.example" for number in range(9)]
_CLIENTS = [f"+1408555{number:04d}" for number in range(100, 400)]


def invent(seed: int = 7) -> tuple[list[Row], list[Row], list[Row]]:
    """Invent usage rows, recordings and pulls, the same for the same seed."""
    rng = random.Random(seed)
    usage: list[Row] = []
    while len(usage) < ROWS:
        usage += _invent_chat(rng, len(usage))
    recordings = [
        _record(rng, call, number)
        for number, call in enumerate(usage)
        if call["channel"] == "call" and call["started_at"] and rng.random() < 0.4
    ]
    windows = list(windows_between(BEGIN, BEGIN + timedelta(days=DAYS)))
    pulls = [
        pulled(window.key, f"{pulled_at:%Y-%m-%d %H:%M}", dataset=dataset, account=account)
        for account in ("default", "second")
        for window in windows
        for dataset in ("usage", "recordings")
        for pulled_at in (window.start + timedelta(days=after) for after in PULLED_AFTER)
    ]
    return usage[:ROWS], recordings, pulls


def _invent_chat(rng: random.Random, first: int) -> list[Row]:
    """Some records of one user and one counterparty, close to each other, some of them mirrored."""
    user = rng.choice(_USERS)
    inside = rng.random() < 0.15
    other = rng.choice([one for one in _USERS if one != user]) if inside else _CLIENTS[int(300 * rng.random() ** 3)]
    at = BEGIN + timedelta(seconds=rng.randrange(DAYS * 86_400 - 40_000))
    rows: list[Row] = []
    for _ in range(rng.randint(1, 8)):
        at += timedelta(seconds=rng.choice([0, 1, 3, 30, 400, 4_000]))
        row = _invent_row(rng, f"r{(first + len(rows)) * 7919 % 1_000_003:07d}", at, (user, other), inside=inside)
        rows.append(row)
        if inside and rng.random() < 0.8:
            rows.append(_mirror(rng, row, f"m{row['record_id']}"))
    return rows


def _invent_row(rng: random.Random, record_id: str, at: datetime, sides: tuple[str, str], *, inside: bool) -> Row:
    user, other = sides
    channel = rng.choices(["call", "text", "fax"], [40, 55, 5])[0]
    direction = rng.choice(["in", "out"])
    start = None if rng.random() < 0.002 else at
    length = rng.randrange(1, 1_500) if channel == "call" else 0
    return {
        "account": "default" if rng.random() < 0.9 else "second",
        "record_id": record_id,
        "client_reference_id": rng.choice(["a", "b", None]),
        "channel": channel,
        "type": "iplum" if inside else "external",
        "direction": direction,
        "from_party": other if direction == "in" else user,
        "to_party": user if direction == "in" else other,
        "counterparty": None if rng.random() < 0.002 else other,
        "counterparty_kind": "login" if inside else "phone",
        "user_id": None if rng.random() < 0.002 else user,
        "started_at": start,
        "ended_at": None if start is None or rng.random() < 0.01 else start + timedelta(seconds=length),
        "duration_minutes": None if rng.random() < 0.01 else float(-(-length // 60) or 1),
        "credits": rng.choice([None, 0.0, 1.0, 2.5]),
        "origin": rng.choices(["pull", "both", "callback"], [10, 85, 5])[0],
        "first_seen_at": _first_seen(rng, at),
        "absent_since": at if rng.random() < 0.01 else None,
        "window_start": window_of(at).first_day,
    }


def _first_seen(rng: random.Random, at: datetime) -> datetime:
    """Half of them by a pull of their window, the others at any time."""
    if rng.random() < 0.5:
        return window_of(at).start + timedelta(days=rng.choice(PULLED_AFTER))
    return at + timedelta(seconds=rng.randrange(900_000))


def _mirror(rng: random.Random, row: Row, record_id: str) -> Row:
    outward = row["direction"] == "out"
    start = row["started_at"]
    moved = None if start is None else start + timedelta(seconds=rng.choice([0, 0, 1, 5, 6]))
    return {
        **row,
        "record_id": record_id,
        "direction": "in" if outward else "out",
        "user_id": row["to_party"] if outward else row["from_party"],
        "counterparty": row["from_party"] if outward else row["to_party"],
        "started_at": moved,
        "ended_at": moved,
    }


def _record(rng: random.Random, call: Row, number: int) -> Row:
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
