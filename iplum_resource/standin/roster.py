"""Who takes part in the invented history: the account's users and the people they speak with."""

import random
from dataclasses import dataclass

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
    *(
        "abbott",
        "bauer",
        "costa",
        "dietz",
        "ekman",
        "fox",
        "garcia",
        "huang",
        "ivanov",
        "jensen",
        "kim",
        "lopez",
    ),
    *(
        "meyer",
        "novak",
        "okafor",
        "patel",
        "quist",
        "reyes",
        "singh",
        "tanaka",
        "ueda",
        "varga",
        "weiss",
        "young",
    ),
)


@dataclass(frozen=True, slots=True)
class User:
    """One person with an iPlum line; `party` is how the own side of an external record names them."""

    login: str
    number: str
    party: str
    reference: str | None
    records_calls: bool
    clients: tuple[str, ...]


def build_roster(seed: int, count: int) -> tuple[User, ...]:
    """Give a history its people, the same for the same seed; `count` is at most 500."""
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
