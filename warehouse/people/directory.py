"""The directory of people: entries of all files, joined into persons, with the periods in which a number is whose."""

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import date, timedelta
from functools import cached_property

from warehouse.people.entry import Entry, Problem
from warehouse.people.party_key import build_party_key

DEFAULT_REGION = "US"
_ID_DIGITS = 16
_AMBIGUOUS = " / "


@dataclass(frozen=True, kw_only=True)
class Person:
    """A row of `people`. `person_id` stays the same while the name and the first number or login do."""

    person_id: str
    name: str = field(repr=False)
    team: str | None = field(default=None, repr=False)
    reference: str | None = field(default=None, repr=False)
    source: str
    note: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class PersonNumber:
    """A row of `person_numbers`: a party key, and the first and last day on which it is the person's; None is open."""

    party: str = field(repr=False)
    person_id: str
    valid_from: date | None
    valid_until: date | None


@dataclass(frozen=True, kw_only=True)
class PartyName:
    """The name to show for a party during a period. Of two owners at one time, both are shown: `A. Doe / B. Doe`."""

    party: str = field(repr=False)
    valid_from: date
    valid_until: date
    name: str = field(repr=False)
    team: str | None = field(repr=False)
    reference: str | None = field(repr=False)


@dataclass(frozen=True)
class Directory:
    """All people and their numbers and logins; `region` is that of numbers without a country code."""

    people: tuple[Person, ...] = ()
    numbers: tuple[PersonNumber, ...] = ()
    problems: tuple[Problem, ...] = ()
    region: str = DEFAULT_REGION

    @cached_property
    def version(self) -> str:
        """A text that changes when a name, number or period does."""
        content = (self.region, [astuple(person) for person in self.people], [astuple(one) for one in self.numbers])
        return hashlib.sha256(repr(content).encode()).hexdigest()


def build_directory(entries: Sequence[Entry], region: str) -> Directory:
    """Join entries into people.

    Entries of one name that share a number or login, in whatever files, are one person. The first one's team,
    reference and note are kept where it has them. A number of two people at one time is reported as a problem.
    """
    keys = [_list_keys(entry, region) for entry in entries]
    groups = _group_entries(entries, keys)
    people: list[Person] = []
    numbers: dict[PersonNumber, None] = {}
    lines: dict[tuple[str, str], str] = {}
    problems = [problem for entry, found in zip(entries, keys, strict=True) for problem in _check(entry, found)]
    for group in groups:
        person = _build_person([entries[place] for place in group], keys[group[0]])
        people.append(person)
        for place in group:
            entry = entries[place]
            for key in keys[place]:
                numbers[PersonNumber(key, person.person_id, entry.valid_from, entry.valid_until)] = None
                lines.setdefault((key, person.person_id), f"{entry.source}, line {entry.line}")
    kept = tuple(numbers)
    return Directory(tuple(people), kept, (*problems, *_find_conflicts(kept, lines)), region)


def _list_keys(entry: Entry, region: str) -> tuple[str, ...]:
    keys = (build_party_key(party, region) for party in (*entry.numbers, *entry.logins))
    return tuple(dict.fromkeys(key for key in keys if any(one.isalnum() for one in key)))


def _check(entry: Entry, keys: Sequence[str]) -> list[Problem]:
    return [] if keys else [Problem(entry.source, entry.line, "the entry has no number and no login")]


def _fold_name(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _group_entries(entries: Sequence[Entry], keys: Sequence[Sequence[str]]) -> list[list[int]]:
    """Group the places of entries that have the same name and, directly or over others, share a party."""
    group_of: dict[tuple[str, str], list[int]] = {}
    groups: dict[int, list[int]] = {}
    for place, entry in enumerate(entries):
        name = _fold_name(entry.name)
        joined = [place]
        for found in {id(group): group for key in keys[place] if (group := group_of.get((name, key)))}.values():
            joined = found + joined
            del groups[found[0]]
        groups[joined[0]] = joined
        for member in joined:
            group_of.update({(name, key): joined for key in keys[member]})
    return list(groups.values())


def _build_person(entries: Sequence[Entry], keys: Sequence[str]) -> Person:
    def first(values: Iterable[str | None]) -> str | None:
        return next((value for value in values if value), None)

    identity = "\n".join((_fold_name(entries[0].name), keys[0] if keys else ""))
    return Person(
        person_id=hashlib.sha256(identity.encode()).hexdigest()[:_ID_DIGITS],
        name=entries[0].name,
        team=first(entry.team for entry in entries),
        reference=first(entry.reference for entry in entries),
        source=entries[0].source,
        note=first(entry.note for entry in entries),
    )


def _find_conflicts(numbers: Sequence[PersonNumber], lines: Mapping[tuple[str, str], str]) -> list[Problem]:
    by_party = _group_by_party(numbers)
    problems = []
    for party, owners in by_party.items():
        for place, one in enumerate(owners):
            for other in owners[:place]:
                if one.person_id != other.person_id and _overlap(one, other):
                    earlier, later = lines[party, other.person_id], lines[party, one.person_id]
                    source, line = later.rsplit(", line ", 1)
                    cause = f"the number or login is also another person's ({earlier}) at the same time"
                    problems.append(Problem(source, int(line), cause))
    return problems


def _group_by_party(numbers: Iterable[PersonNumber]) -> dict[str, list[PersonNumber]]:
    by_party: defaultdict[str, list[PersonNumber]] = defaultdict(list)
    for number in numbers:
        by_party[number.party].append(number)
    return dict(by_party)


def _overlap(one: PersonNumber, other: PersonNumber) -> bool:
    return _first_day(one) <= _last_day(other) and _first_day(other) <= _last_day(one)


def _first_day(number: PersonNumber) -> date:
    return number.valid_from or date.min


def _last_day(number: PersonNumber) -> date:
    return number.valid_until or date.max


def list_party_names(directory: Directory) -> list[PartyName]:
    """List the names by party and period. The periods of a party do not overlap; days without an owner are left out."""
    people = {person.person_id: person for person in directory.people}
    names: list[PartyName] = []
    for party, numbers in sorted(_group_by_party(directory.numbers).items()):
        for first, last in _split_periods(numbers):
            owners = [people[n.person_id] for n in numbers if _first_day(n) <= first and last <= _last_day(n)]
            if owners := list({owner.person_id: owner for owner in owners}.values()):
                names.append(_join(party, first, last, owners))
    return names


def _split_periods(numbers: Sequence[PersonNumber]) -> list[tuple[date, date]]:
    """Split the time of a party into periods in which its owners do not change."""
    starts = {_first_day(number) for number in numbers}
    starts |= {_last_day(number) + timedelta(days=1) for number in numbers if _last_day(number) < date.max}
    ordered = sorted(starts)
    ends = [start - timedelta(days=1) for start in ordered[1:]]
    return list(zip(ordered, [*ends, date.max], strict=True))


def _join(party: str, first: date, last: date, owners: Sequence[Person]) -> PartyName:
    def only(values: set[str | None]) -> str | None:
        return values.pop() if len(values) == 1 else None

    return PartyName(
        party=party,
        valid_from=first,
        valid_until=last,
        name=_AMBIGUOUS.join(sorted(owner.name for owner in owners)),
        team=only({owner.team for owner in owners}),
        reference=only({owner.reference for owner in owners}),
    )
