"""Legal holds: records that are exempt from deletion, in `holds.json`. Removed holds are kept there with their day."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Any

from filelock import FileLock

from warehouse.errors import HoldsUnreadable, NoSuchHold
from warehouse.lake.files import read_table
from warehouse.people.directory import DEFAULT_REGION
from warehouse.people.party_key import build_party_key
from warehouse.schema.tables import FOLDED_TABLES, Table
from warehouse.storage.paths import HOLDS, DataFolder
from warehouse.windows import StorageWindow

# Fields that name a person or a line (docs/iplum-api.md, "Get Usage Records", "Get Recording Records").
_USER_FIELDS = ("userId", "from", "to")
_PARTY_FIELDS = ("from", "to", "phonenumber")
_SHORTEST_NUMBER = 7
_SHORTEST_NATIONAL = 5
# The rest may be an area code, a trunk zero or a country code, which people write or leave out.
_COMPARED_DIGITS = 8


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

        A user is also looked for among the parties. A number matches with or without its country code, trunk zero and
        extension, in any notation.
        """
        return _matches_any(self.user, record, _USER_FIELDS) and _matches_any(self.counterparty, record, _PARTY_FIELDS)


def read_holds(folder: DataFolder, account: str | None = None) -> list[Hold]:
    """List the holds, or those that apply to an account; raises `HoldsUnreadable`."""
    holds = (hold for hold in read_hold_history(folder) if hold.removed is None)
    return [hold for hold in holds if account is None or hold.account in (None, account)]


def holds_account(folder: DataFolder, account: str) -> bool:
    """Whether a hold covers an entire account; raises `HoldsUnreadable`."""
    return any(hold.covers_account for hold in read_holds(folder, account))


def read_hold_history(folder: DataFolder) -> list[Hold]:
    """List all holds, also removed ones, in the order of their numbers; raises `HoldsUnreadable`."""
    try:
        content = b"".join(folder.store.read_chunks(HOLDS))
    except FileNotFoundError:
        return []
    try:
        entries = json.loads(content)
        if not isinstance(entries, list):
            # An object would read as no holds, and nothing would be kept.
            raise TypeError("not a list")  # noqa: TRY301
        return [_parse_hold(entry) for entry in entries]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise HoldsUnreadable(
            f"cannot read the legal holds in {folder.store.locate(HOLDS)}",
            "the file is damaged, so nothing is deleted",
            "Fix it or restore it from a backup, then check 'iplum hold list'",
        ) from error


def count_matches(folder: DataFolder, hold: Hold) -> dict[str, int]:
    """Count the rows of each folded table that a hold covers now; raises `StorageFailed`."""
    counts = {table.name: 0 for table in FOLDED_TABLES}
    for account in folder.accounts():
        if hold.account in (None, account):
            for table in FOLDED_TABLES:
                for window in folder.lake_windows(table.name, account):
                    counts[table.name] += _count_rows(folder, table, account, window, hold=hold)
    return counts


def _count_rows(folder: DataFolder, table: Table, account: str, window: StorageWindow, *, hold: Hold) -> int:
    rows = read_table(folder, table, account, window)
    fields = {c.name: str(c.field) for c in table.vendor_columns if c.field in {*_USER_FIELDS, *_PARTY_FIELDS}}
    if rows is None:
        return 0
    counted = rows.group_by(list(fields)).aggregate([([], "count_all")]).to_pylist()
    return sum(
        parties["count_all"] for parties in counted if hold.holds({fields[name]: parties[name] for name in fields})
    )


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
    """Mark a hold as removed on a day; it is kept in the file. Raises as `add_hold` does, and `NoSuchHold`."""
    with _lock(folder):
        holds = read_hold_history(folder)
        if not any(hold.number == number and hold.removed is None for hold in holds):
            raise NoSuchHold(f"there is no hold number {number}", fix="See 'iplum hold list'")
        _write(folder, [replace(hold, removed=hold.removed or on) if hold.number == number else hold for hold in holds])


@contextmanager
def _lock(folder: DataFolder) -> Iterator[None]:
    folder.create_locks_folder()
    with FileLock(folder.holds_lock, mode=folder.modes.file):
        yield


def _write(folder: DataFolder, holds: Sequence[Hold]) -> None:
    content = json.dumps([asdict(hold) for hold in holds], default=date.isoformat, indent=1)
    folder.store.write(HOLDS, content.encode())


def _matches_any(name: str | None, record: Mapping[str, Any], fields: Sequence[str]) -> bool:
    return name is None or any(_is_same_party(name, str(record[field])) for field in fields if record.get(field))


def _is_same_party(one: str, other: str) -> bool:
    keys = [build_party_key(text, DEFAULT_REGION) for text in (one, other)]
    if keys[0] == keys[1]:
        return True
    if any("@" in key for key in keys):
        return False
    return _is_same_number(*map(_parse_number, keys))


def _parse_number(party: str) -> tuple[str, bool]:
    """Return the digits of a number without leading zeros, and whether it had any, as national numbers do."""
    digits = "".join(letter for letter in party if "0" <= letter <= "9")
    return digits.lstrip("0"), digits.startswith("0")


def _is_same_number(one: tuple[str, bool], other: tuple[str, bool]) -> bool:
    """Whether the last eight digits are equal, or one number is the end of the other.

    So a number matches with a country code, with a trunk zero, or with neither, in any region. A number of less than
    seven digits must have a trunk zero, which short codes do not have.
    """
    (short, has_trunk_zero), (long, _) = sorted((one, other), key=lambda number: len(number[0]))
    if len(long) < _SHORTEST_NUMBER or len(short) < (_SHORTEST_NATIONAL if has_trunk_zero else _SHORTEST_NUMBER):
        return one == other != ("", False)
    compared = min(len(short), _COMPARED_DIGITS)
    return short[-compared:] == long[-compared:]
