"""The simulated users, and the calls, texts and faxes of one UTC day, generated from a seed."""

import math
import random
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

DAY = 86_400
LONGEST_CALL = 3 * 3600

IPLUM_TEXT, IPLUM_CALL, EXTERNAL_CALL, EXTERNAL_TEXT, FAX = range(5)

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_WEEKDAY_WEIGHTS = (1.2, 1.2, 1.2, 1.2, 1.2, 0.6, 0.4)  # their mean is 1
_HOUR_WEIGHTS = (1, 1, 1, 1, 1, 1, 2, 4, 12, 24, 26, 24, 16, 22, 26, 24, 20, 12, 8, 6, 4, 3, 2, 1)
_HOURS = tuple(hour for hour, weight in enumerate(_HOUR_WEIGHTS) for _ in range(weight))
_EDGES_FROM = 10  # a day with fewer rows than this has no room for the two rows at its edges


class Event(NamedTuple):
    """One future row; times are seconds since the epoch, `late` decides whether it appears late."""

    start: int
    end: int
    kind: int
    direction: str
    sender: str
    receiver: str
    user: "User"
    minutes: int
    credits: int | None
    recorded: bool
    late: float


def day_of(number: int) -> date:
    """Return the UTC day that is `number` days after 1970-01-01."""
    return date.fromordinal(_EPOCH_ORDINAL + number)


def generate_day(users: tuple["User", ...], day: int, *, seed: int, mean: float) -> list[Event]:
    """Generate the events of a day, sorted by start.

    `day` counts from 1970-01-01; `mean` is the average number of rows per day.
    """
    rng = random.Random(f"{seed}:{day}")  # noqa: S311 - invented data
    weight = _WEEKDAY_WEIGHTS[day_of(day).weekday()]
    count = int(mean * weight * (0.8 + 0.4 * rng.random()) + rng.random())
    generator = _EventGenerator(users, rng)
    midnight = day * DAY
    events = generator.generate_edges(midnight) if count >= _EDGES_FROM else []
    while len(events) < count:
        start = midnight + _HOURS[int(len(_HOURS) * rng.random())] * 3600 + int(3600 * rng.random())
        events += generator.generate_activity(start, room=count - len(events))
    events.sort(key=lambda event: event.start)
    return events


class _EventGenerator:
    """Generates one event after the other from one random generator."""

    def __init__(self, users: tuple["User", ...], rng: random.Random) -> None:
        self._users = users
        self._random = rng.random

    def generate_activity(self, start: int, *, room: int) -> list[Event]:
        user = self._users[self._below(len(self._users))]
        draw = self._random()
        if draw < 0.56:
            elapsed = min(15 + self._wait(240), LONGEST_CALL)
            return [self._call(user, self._pick_client(user), start=start, elapsed=elapsed)]
        if draw < 0.60:
            return [self._fax(user, start)]
        if draw < 0.70 and room > 1 and len(self._users) > 1:
            return self._internal(start)
        if draw < 0.73:
            code = SHORT_CODES[self._below(len(SHORT_CODES))]
            return [self._text(user, code, start=start, inbound=True, credit=1)]
        return self._texts(user, start)[:room]

    def generate_edges(self, midnight: int) -> list[Event]:
        """Generate a text in the first second and a call across the end of the day."""
        user = self._users[self._below(len(self._users))]
        client = self._pick_client(user)
        start, elapsed = midnight + DAY - 60 - self._below(540), 900 + self._below(1800)
        return [
            self._text(user, client, start=midnight, inbound=False, credit=1),
            self._call(user, client, start=start, elapsed=elapsed),
        ]

    def _call(self, user: "User", client: str, *, start: int, elapsed: int) -> Event:
        inbound = self._random() < 0.55
        draw = self._random()
        if inbound and draw < 0.15:
            elapsed = 0  # missed
        minutes = -(-elapsed // 60)
        credit = None if draw > 0.97 else minutes
        # The document's own example starts and ends in the same second and yet lasts two minutes.
        end = start if 0.5 < draw < 0.52 else start + elapsed
        recorded = user.records_calls and elapsed >= 20 and self._random() < 0.6
        sides = ("in", client, user.party) if inbound else ("out", user.party, client)
        return Event(start, end, EXTERNAL_CALL, *sides, user, minutes, credit, recorded, self._random())

    def _fax(self, user: "User", start: int) -> Event:
        client = self._pick_client(user)
        elapsed = 30 + self._below(200)
        minutes = -(-elapsed // 60)
        inbound = self._random() < 0.7
        sides = ("in", client, user.party) if inbound else ("out", user.party, client)
        return Event(start, start + elapsed, FAX, *sides, user, minutes, minutes, False, self._random())

    def _internal(self, start: int) -> list[Event]:
        """Generate a conversation between two users: one event that the vendor lists twice, out and in."""
        first, others = self._below(len(self._users)), len(self._users) - 1
        caller = self._users[first]
        called = self._users[(first + 1 + self._below(others)) % len(self._users)]
        is_text = self._random() < 0.6
        kind = IPLUM_TEXT if is_text else IPLUM_CALL
        elapsed, offset = (0, 0) if is_text else (20 + self._below(400), self._below(4))
        minutes = -(-elapsed // 60) or 1
        mirrored = min(start + offset, start - start % DAY + DAY - 1)
        parties = (caller.login, called.login)
        return [
            Event(at, at + elapsed, kind, direction, *parties, user, minutes, 0, False, self._random())
            for direction, user, at in (("out", caller, start), ("in", called, mirrored))
        ]

    def _texts(self, user: "User", start: int) -> list[Event]:
        """Generate a text conversation between a user and a client, until one stops or the day ends."""
        client, inbound = self._pick_client(user), self._random() < 0.6
        day_end = start - start % DAY + DAY
        events = []
        while start < day_end:
            draw = self._random()
            credit = None if draw > 0.97 else 1
            events.append(self._text(user, client, start=start, inbound=inbound, credit=credit))
            if draw < 0.35:
                break
            inbound = inbound if draw < 0.42 else not inbound
            start += 15 + self._wait(700)
        return events

    def _text(self, user: "User", client: str, *, start: int, inbound: bool, credit: int | None) -> Event:
        sides = ("in", client, user.party) if inbound else ("out", user.party, client)
        return Event(start, start, EXTERNAL_TEXT, *sides, user, 1, credit, False, self._random())

    def _pick_client(self, user: "User") -> str:
        """Favour the first of a user's clients, so that the same people are met again and again."""
        return user.clients[int(len(user.clients) * self._random() ** 2.2)]

    def _below(self, limit: int) -> int:
        return int(limit * self._random())

    def _wait(self, mean: int) -> int:
        return -int(mean * math.log(1 - self._random()))


SHORT_CODES = ("24365", "72975", "387633", "89203")
CLIENTS_PER_USER = 40

_OWN_AREAS = ("408", "415", "510", "650", "925")
_CLIENT_AREAS = (
    *("206", "212", "214", "303", "305", "312", "404", "503", "512", "602"),
    *("615", "617", "619", "702", "704", "713", "720", "801", "813", "916"),
)
_FIRST_NAMES = (
    *("ada", "ben", "carla", "dev", "elena", "farid", "grace", "hugo", "ines", "jonas", "kaya", "liam"),
    *("maya", "nils", "olga", "pablo", "quinn", "rosa", "sami", "tara", "uma", "victor", "wanda", "yusuf"),
)
_LAST_NAMES = (
    *("abbott", "bauer", "costa", "dietz", "ekman", "fox", "garcia", "huang", "ivanov", "jensen", "kim", "lopez"),
    *("meyer", "novak", "okafor", "patel", "quist", "reyes", "singh", "tanaka", "ueda", "varga", "weiss", "young"),
)


@dataclass(frozen=True, slots=True)
class User:
    """One person with an iPlum line; `party` is how external records name them."""

    login: str
    number: str
    party: str
    reference: str | None
    records_calls: bool
    clients: tuple[str, ...]


def build_users(seed: int, count: int) -> tuple[User, ...]:
    """Build the users of a history; `count` is at most 500."""
    rng = random.Random(f"{seed}:roster")  # noqa: S311 - invented data
    everybody = [_fictional_number(area, line) for area in _CLIENT_AREAS for line in range(100)]
    return tuple(_build_user(index, tuple(rng.sample(everybody, CLIENTS_PER_USER))) for index in range(count))


def _build_user(index: int, clients: tuple[str, ...]) -> User:
    size = len(_FIRST_NAMES)
    first, last = _FIRST_NAMES[index % size], _LAST_NAMES[(index * 7 + index // size) % size]
    login = f"{first}.{last}@clinic.example"
    number = _fictional_number(_OWN_AREAS[index % len(_OWN_AREAS)], index // len(_OWN_AREAS))
    return User(
        login=login,
        number=number,
        # The document's own example names the called user by an address; a number is as likely.
        party=number if index % 3 == 2 else login,
        reference=None if index % 4 == 3 else str(1234 + index % 4),
        records_calls=index % 2 == 0,
        clients=clients,
    )


def _fictional_number(area: str, line: int) -> str:
    return f"+1{area}55501{line:02d}"
