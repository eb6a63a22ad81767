"""The tables of people have a row for each spelling of a number in the records."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.mart_database import MartDatabase, usage
from warehouse.people.directory import build_directory
from warehouse.people.entry import Entry
from warehouse.people.party_key import build_party_key
from warehouse.snapshot.people_tables import find_spellings, write_people

SPELLINGS = (
    "+14085550100",
    "14085550100",
    "(408) 555-0100 x 199",
    "tel:+14085550100;ext=7",
    "sip:4085550100@pbx.example",
)


def test_each_spelling_in_the_records_is_a_row() -> None:
    database = MartDatabase(
        [usage(str(n), "2024-01-01T00:00:00Z", counterparty=party) for n, party in enumerate(SPELLINGS)]
    )
    entries = [
        Entry(
            name="Ann", numbers=("408 555 0100", "408 555 0101"), source="p.csv", line=2, valid_until=date(2025, 1, 1)
        ),
        Entry(name="Bo", logins=("BO@clinic.example",), source="p.csv", line=3),
    ]
    write_people(database.connection, build_directory(entries, "US"))
    rows = database.query(
        "SELECT name, party, valid_until FROM people JOIN person_numbers USING (person_id) ORDER BY ALL"
    )
    until = date(2025, 1, 1)
    expected = [("Ann", party, until) for party in (*SPELLINGS, "+14085550101")] + [("Bo", "bo@clinic.example", None)]
    assert rows == sorted(expected)
    named = database.query("SELECT party FROM party_names WHERE DATE '2025-01-01' BETWEEN valid_from AND valid_until")
    assert {party for (party,) in named} == {party for _, party, _ in expected}


@pytest.fixture(scope="module")
def one_record() -> MartDatabase:
    """Tables without rows; an example leaves one record in them."""
    return MartDatabase()


@given(party=st.text(min_size=1, max_size=20) | st.from_regex(r"\+?[0-9() -]{7,14}( ?x[0-9]{1,3})?", fullmatch=True))
def test_no_spelling_is_missed(one_record: MartDatabase, party: str) -> None:
    key = build_party_key(party, "US")
    entry = Entry(name="Ann", numbers=(key,), source="p.csv", line=2)
    directory = build_directory([entry], "US")
    if directory.numbers:
        one_record.connection.execute("DELETE FROM usage")
        one_record.connection.execute("INSERT INTO usage (counterparty) VALUES (?)", [party])
        assert find_spellings(one_record.connection, directory) == {key: [party]}
