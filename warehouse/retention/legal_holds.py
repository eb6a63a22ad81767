"""Legal holds: records that are exempt from deletion, in `holds.json`. Removed holds stay in it with their day."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Any

from filelock import FileLock

from warehouse.errors import HoldsUnreadable, NoSuchHold
from warehouse.storage.atomic_files import create_folder
from warehouse.storage.paths import HOLDS, DataFolder

# Fields that name a person or a line (docs/iplum-api.md, "Get Usage Records", "Get Recording Records").
_USER_FIELDS = ("userId", "from", "to")
_PARTY_FIELDS = ("from", "to", "phonenumber")
_SHORTEST_NUMBER = 7


@dataclass(frozen=True, kw_only=True)
class Hold:
    """The records that match everything named here; `since` is the day the hold was added.

    `removed` is the day it was removed; from then on it holds nothing.
    """

    number: int
    account: str | None = None
    user: str | None = field(default=None, repr=False)
    counterparty: str | None = field(default=None, repr=False)
    since: date
    note: str | None = field(default=None, repr=False)
    removed: date | None = None

    @property
    def covers_account(self) -> bool:
        """Whether it covers the entire account."""
        return self.user is None and self.counterparty is None

    def holds(self, record: Mapping[str, Any]) -> bool:
        """Whether a record, as iPlum sent it, is held; in doubt it is.

        A user is also looked for among the parties, and a number matches with or without its country code.
        """
        return _matches_any(self.user, record, _USER_FIELDS) and _matches_any(self.counterparty, record, _PARTY_FIELDS)


def read_holds(folder: DataFolder, account: str | None = None) -> list[Hold]:
    """List the holds, or those that apply to an account; raises `HoldsUnreadable`."""
    holds = (hold for hold in read_hold_history(folder) if hold.removed is None)
    return [hold for hold in holds if account is None or hold.account in (None, account)]


def read_hold_history(folder: DataFolder) -> list[Hold]:
    """List all holds, also removed ones, in the order of their numbers; raises `HoldsUnreadable`."""
    try:
        content = b"".join(folder.store.read_chunks(HOLDS))
    except FileNotFoundError:
        return []
    try:
        return [_parse_hold(entry) for entry in json.loads(content)]
    except (ValueError, TypeError, KeyError) as error:
        raise HoldsUnreadable(folder.store.locate(HOLDS)) from error


def _parse_hold(entry: Mapping[str, Any]) -> Hold:
    removed = entry.get("removed")
    days = {"since": date.fromisoformat(entry["since"]), "removed": removed and date.fromisoformat(removed)}
    return Hold(**{**entry, **days})


def add_hold(
    folder: DataFolder,
    *,
    account: str | None,
    user: str | None,
    counterparty: str | None,
    since: date,
    note: str | None,
) -> Hold:
    """Add a hold durably, with a number that no hold had before; raises `HoldsUnreadable` and `StorageFailed`."""
    with _lock(folder):
        holds = read_hold_history(folder)
        number = max((hold.number for hold in holds), default=0) + 1
        hold = Hold(number=number, account=account, user=user, counterparty=counterparty, since=since, note=note)
        _write(folder, [*holds, hold])
    return hold


def remove_hold(folder: DataFolder, number: int, *, on: date) -> None:
    """Remove a hold, which stays in the file with its day; raises as `add_hold` does, and `NoSuchHold`."""
    with _lock(folder):
        holds = read_hold_history(folder)
        if not any(hold.number == number and hold.removed is None for hold in holds):
            raise NoSuchHold(number)
        _write(folder, [replace(hold, removed=hold.removed or on) if hold.number == number else hold for hold in holds])


@contextmanager
def _lock(folder: DataFolder) -> Iterator[None]:
    create_folder(folder.holds_lock.parent, folder.modes)
    with FileLock(folder.holds_lock, mode=folder.modes.file):
        yield


def _write(folder: DataFolder, holds: Sequence[Hold]) -> None:
    content = json.dumps([asdict(hold) for hold in holds], default=date.isoformat, indent=1)
    folder.store.write(HOLDS, content.encode())


def _matches_any(name: str | None, record: Mapping[str, Any], fields: Sequence[str]) -> bool:
    return name is None or any(_is_same_party(name, str(record[field])) for field in fields if record.get(field))


def _is_same_party(one: str, other: str) -> bool:
    one, other = one.strip().casefold(), other.strip().casefold()
    if one == other:
        return True
    if "@" in one or "@" in other:
        return False
    digits = re.sub(r"[^0-9]", "", one), re.sub(r"[^0-9]", "", other)
    return min(map(len, digits)) >= _SHORTEST_NUMBER and (
        digits[0].endswith(digits[1]) or digits[1].endswith(digits[0])
    )
