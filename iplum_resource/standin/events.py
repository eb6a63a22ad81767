"""What happened on one UTC day: calls, texts and faxes, drawn from the seed and the day alone."""

import math
import random
from datetime import date
from typing import NamedTuple

from iplum_resource.standin.roster import SHORT_CODES, User

DAY = 86_400
LONGEST_CALL = 3 * 3600

IPLUM_TEXT, IPLUM_CALL, EXTERNAL_CALL, EXTERNAL_TEXT, FAX = range(5)

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_WEEKDAY_WEIGHTS = (1.2, 1.2, 1.2, 1.2, 1.2, 0.6, 0.4)  # their mean is 1
_HOUR_WEIGHTS = (1, 1, 1, 1, 1, 1, 2, 4, 12, 24, 26, 24, 16, 22, 26, 24, 20, 12, 8, 6, 4, 3, 2, 1)
_HOURS = tuple(hour for hour, weight in enumerate(_HOUR_WEIGHTS) for _ in range(weight))
_EDGES_FROM = 10  # a day with fewer rows than this has no room for the two rows at its edges


class Event(NamedTuple):
    """One row to be; times are seconds since the epoch, `late` is the draw that decides on lateness."""

    start: int
    end: int
    kind: int
    direction: str
    sender: str
    receiver: str
    user: User
    minutes: int
    credits: int | None
    recorded: bool
    late: float


def day_of(number: int) -> date:
    """Name the UTC day that is `number` days after 1970-01-01."""
    return date.fromordinal(_EPOCH_ORDINAL + number)


def draw_day(users: tuple[User, ...], day: int, *, seed: int, mean: float) -> list[Event]:
    """Tell what happened on a day, sorted by start; `day` counts from 1970-01-01, `mean` is rows per day."""
    rng = random.Random(f"{seed}:{day}")  # noqa: S311 - invented data
    weight = _WEEKDAY_WEIGHTS[day_of(day).weekday()]
    count = int(mean * weight * (0.8 + 0.4 * rng.random()) + rng.random())
    diary = _Diary(users, rng)
    midnight = day * DAY
    events = diary.draw_edges(midnight) if count >= _EDGES_FROM else []
    while len(events) < count:
        start = midnight + _HOURS[int(len(_HOURS) * rng.random())] * 3600 + int(3600 * rng.random())
        events += diary.draw_activity(start, room=count - len(events))
    events.sort(key=lambda event: event.start)
    return events


class _Diary:
    """Draw one thing that happened after the other; every draw is from the same generator, in order."""

    def __init__(self, users: tuple[User, ...], rng: random.Random) -> None:
        self._users = users
        self._random = rng.random

    def draw_activity(self, start: int, *, room: int) -> list[Event]:
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

    def draw_edges(self, midnight: int) -> list[Event]:
        """Put a text on the first second and a call over the end: where windows meet, rows get lost."""
        user = self._users[self._below(len(self._users))]
        client = self._pick_client(user)
        start, elapsed = midnight + DAY - 60 - self._below(540), 900 + self._below(1800)
        return [
            self._text(user, client, start=midnight, inbound=False, credit=1),
            self._call(user, client, start=start, elapsed=elapsed),
        ]

    def _call(self, user: User, client: str, *, start: int, elapsed: int) -> Event:
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

    def _fax(self, user: User, start: int) -> Event:
        client = self._pick_client(user)
        elapsed = 30 + self._below(200)
        minutes = -(-elapsed // 60)
        inbound = self._random() < 0.7
        sides = ("in", client, user.party) if inbound else ("out", user.party, client)
        return Event(start, start + elapsed, FAX, *sides, user, minutes, minutes, False, self._random())

    def _internal(self, start: int) -> list[Event]:
        """Let two users speak: one event, which the vendor lists twice, out for one and in for the other."""
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

    def _texts(self, user: User, start: int) -> list[Event]:
        """Let a user and a client text to and fro until one of them lets it rest, or the day ends."""
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

    def _text(self, user: User, client: str, *, start: int, inbound: bool, credit: int | None) -> Event:
        sides = ("in", client, user.party) if inbound else ("out", user.party, client)
        return Event(start, start, EXTERNAL_TEXT, *sides, user, 1, credit, False, self._random())

    def _pick_client(self, user: User) -> str:
        """Favour the first of a user's clients, so that the same people are met again and again."""
        return user.clients[int(len(user.clients) * self._random() ** 2.2)]

    def _below(self, limit: int) -> int:
        return int(limit * self._random())

    def _wait(self, mean: int) -> int:
        return -int(mean * math.log(1 - self._random()))
