"""The directory: entries joined into people, numbers that change hands, and conflicts."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from warehouse.people.directory import Directory, build_directory, list_party_names
from warehouse.people.entry import Entry

DAY = date(2025, 3, 1)


def entry(
    name: str, *parties: str, line: int = 2, team: str | None = None, reference: str | None = None, **days: date
) -> Entry:
    logins = tuple(party for party in parties if "@" in party)
    numbers = tuple(party for party in parties if "@" not in party)
    return Entry(
        name=name,
        numbers=numbers,
        logins=logins,
        team=team,
        reference=reference,
        source="people.csv",
        line=line,
        valid_from=days.get("since"),
        valid_until=days.get("until"),
    )


def names_on(directory: Directory, party: str, day: date) -> list[str]:
    """Return the names to show for a party on a day."""
    return [
        one.name
        for one in list_party_names(directory)
        if one.party == party and one.valid_from <= day <= one.valid_until
    ]


def test_entries_of_one_name_that_share_a_number_are_one_person() -> None:
    directory = build_directory(
        [
            entry("Ann Lee", "+14085550100", team="Front desk"),
            entry("ANN  LEE", "(408) 555-0100", "ann@clinic.example", reference="C-1"),
            entry("Ann Lee", "+14085550999"),
        ],
        "US",
    )
    one, other = directory.people
    assert (one.name, one.team, one.reference) == ("Ann Lee", "Front desk", "C-1")
    assert [(n.party, n.person_id) for n in directory.numbers] == [
        ("+14085550100", one.person_id),
        ("ann@clinic.example", one.person_id),
        ("+14085550999", other.person_id),
    ]
    assert directory.problems == ()


def test_an_entry_joins_people_who_shared_no_number_before() -> None:
    directory = build_directory(
        [entry("A", "+14085550100"), entry("A", "+14085550101"), entry("A", "+14085550100", "+14085550101")], "US"
    )
    assert len(directory.people) == 1


def test_the_id_of_a_person_does_not_depend_on_the_other_entries() -> None:
    ann = entry("Ann", "+14085550100")
    (alone,) = build_directory([ann], "US").people
    assert alone.person_id in {
        one.person_id for one in build_directory([entry("Bo", "+14085550101"), ann], "US").people
    }


def test_a_number_that_changes_hands_has_the_name_of_each_day() -> None:
    directory = build_directory(
        [entry("Carla", "408-555-0201", until=DAY), entry("Dan", "408-555-0201", since=DAY + timedelta(days=1))], "US"
    )
    assert names_on(directory, "+14085550201", DAY) == ["Carla"]
    assert names_on(directory, "+14085550201", DAY + timedelta(days=1)) == ["Dan"]
    assert directory.problems == ()


def test_a_number_of_two_people_at_one_time_shows_both_and_is_a_problem() -> None:
    directory = build_directory(
        [
            entry("B. Doe", "408-555-0201", line=2, team="A", until=DAY),
            entry("A. Doe", "+14085550201", line=3, team="B", since=DAY),
        ],
        "US",
    )
    assert names_on(directory, "+14085550201", DAY - timedelta(days=1)) == ["B. Doe"]
    assert names_on(directory, "+14085550201", DAY) == ["A. Doe / B. Doe"]
    assert [str(problem) for problem in directory.problems] == [
        "people.csv, line 3: the number or login is also another person's (people.csv, line 2) at the same time"
    ]
    (both,) = [one for one in list_party_names(directory) if one.valid_from == one.valid_until]
    assert both.team is None


def test_an_entry_without_a_usable_number_is_a_problem_and_a_person() -> None:
    directory = build_directory([entry("Ann", "n.a.", "-", line=7), entry("Bo", line=8)], "US")
    assert [one.name for one in directory.people] == ["Ann", "Bo"]
    assert [str(problem) for problem in directory.problems] == [
        "people.csv, line 8: the entry has no number and no login"
    ]


def test_the_last_day_of_the_calendar_is_open() -> None:
    directory = build_directory([entry("Ann", "+14085550100", until=date.max)], "US")
    assert names_on(directory, "+14085550100", date.max) == ["Ann"]


days = st.integers(0, 6).map(lambda number: DAY + timedelta(days=number))
closed = st.tuples(days, days).map(lambda span: (min(span), max(span)))
spans = closed | st.tuples(st.none(), days) | st.tuples(days, st.none()) | st.just((None, None))


@given(rows=st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(["+14085550100", "+14085550101"]), spans)))
def test_each_day_shows_the_names_of_its_owners(rows: list[tuple[str, str, tuple[date | None, date | None]]]) -> None:
    entries = [
        Entry(name=name, numbers=(party,), source="people.csv", line=line, valid_from=first, valid_until=last)
        for line, (name, party, (first, last)) in enumerate(rows, 2)
    ]
    directory = build_directory(entries, "US")
    for party in ("+14085550100", "+14085550101"):
        for number in range(-1, 8):
            day = DAY + timedelta(days=number)
            owners = {
                name
                for name, owned, (first, last) in rows
                if owned == party and (first or day) <= day and day <= (last or day)
            }
            assert names_on(directory, party, day) == ([" / ".join(sorted(owners))] if owners else [])
