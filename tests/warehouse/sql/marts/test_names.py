"""Names, teams and references in the marts and views: those of the local day of each record."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.mart_database import ANN, BOB, CLIENT, MartDatabase, usage
from warehouse.people.directory import Directory, build_directory
from warehouse.people.entry import Entry

OTHER = "+14085550101"
#: Ann changes her team, and CLIENT changes hands, on 10 March 2026 in New York.
CHANGE = date(2026, 3, 10)
BEFORE = CHANGE - timedelta(days=1)


def entry(name: str, party: str, **fields: Any) -> Entry:
    is_login = "@" in party
    logins, numbers = ((party,), ()) if is_login else ((), (party,))
    return Entry(name=name, source="people.csv", line=2, logins=logins, numbers=numbers, **fields)


PEOPLE = build_directory(
    [
        entry("Ann Lee", ANN, team="Nurses", valid_until=BEFORE),
        entry("Ann Ray", ANN, team="Doctors", valid_from=CHANGE),
        entry("Carla", "(408) 555-0100", reference="C-1", valid_until=BEFORE),
        entry("Dan", CLIENT, reference="C-2", valid_from=CHANGE),
    ],
    "US",
)
# In UTC, both are on 10 March.
EARLY, LATE = "2026-03-10 03:30", "2026-03-10 04:30"
DAYS = {EARLY: ("Ann Lee", "Carla", "Nurses"), LATE: ("Ann Ray", "Dan", "Doctors")}


def build(*rows: dict[str, Any], people: Directory = PEOPLE) -> MartDatabase:
    return MartDatabase(rows, people=people)


@pytest.mark.parametrize("start", DAYS)
def test_the_views_have_the_names_of_the_local_day(start: str) -> None:
    database = build(usage("a", start, channel="text"))
    for view in ("activity", "messages"):
        assert database.query(f"SELECT user_name, counterparty_name, team FROM {view}") == [DAYS[start]]


def test_names_are_null_for_unknown_parties_and_without_a_start() -> None:
    database = build(usage("a", EARLY, user_id=BOB, counterparty=OTHER), usage("b", None))
    assert database.query("SELECT user_name, counterparty_name, team FROM activity") == [(None, None, None)] * 2


def test_a_period_of_time_has_the_names_at_its_latest_record() -> None:
    rows = [usage("a", EARLY, channel="text"), usage("b", LATE, channel="text")]
    database = build(*rows)
    names = ("user_name", "counterparty_name", "team")
    for mart in ("contacts", "conversations", "missed_follow_ups"):
        assert database.read_mart(mart, *names) == [DAYS[LATE]], mart
    for mart in ("user_summary", "response_times"):
        expected = DAYS[EARLY] if mart == "response_times" else DAYS[LATE]
        assert database.read_mart(mart, "user_name", "team") == [(expected[0], expected[2])], mart
    for mart in ("text_responses", "unanswered_texts"):
        assert database.read_mart(mart, *names) == [DAYS[EARLY]], "the names at the first text"


def test_a_day_has_the_names_of_that_day() -> None:
    database = build(usage("a", EARLY), usage("b", LATE))
    days = [(date(2026, 3, 9), "Ann Lee", "Nurses"), (date(2026, 3, 10), "Ann Ray", "Doctors")]
    for mart in ("daily_activity", "recording_coverage"):
        assert database.read_mart(mart, "local_date", "user_name", "team") == days


def test_without_people_all_names_are_null_and_no_mart_loses_a_row() -> None:
    rows = [usage("a", EARLY, channel="text"), usage("b", LATE)]
    named, unnamed = build(*rows), build(*rows, people=Directory())
    for mart in ("daily_activity", "contacts", "conversations", "text_responses", "recording_coverage", "user_summary"):
        (counts,) = {tuple(database.query(f"SELECT count(*) FROM marts.{mart}")) for database in (named, unnamed)}
        assert counts
    assert unnamed.read_mart("reference_time", "reference") == []
    assert {team for (team,) in unnamed.read_mart("team_daily", "team")} == {None}


moments = st.integers(0, 4 * 24 * 60).map(lambda minutes: datetime(2026, 3, 8, tzinfo=UTC) + timedelta(minutes=minutes))
records = st.tuples(
    moments,
    st.sampled_from([ANN, BOB]),
    st.sampled_from([CLIENT, OTHER]),
    st.sampled_from(["call", "text", "fax"]),
    st.sampled_from(["in", "out"]),
)


@given(rows=st.lists(records, max_size=12))
def test_teams_and_references_equal_plain_python(rows: list[tuple[datetime, str, str, str, str]]) -> None:
    zone = ZoneInfo("America/New_York")
    teams: defaultdict[tuple[Any, ...], int] = defaultdict(int)
    times: defaultdict[tuple[Any, ...], list[float]] = defaultdict(lambda: [0, 0, 0, 0])
    made = []
    for number, (start, user, party, channel, direction) in enumerate(rows):
        changes = {"user_id": user, "counterparty": party, "channel": channel, "direction": direction}
        made.append(usage(str(number), f"{start:%Y-%m-%d %H:%M}", **changes, duration_minutes=2.0))
        day = start.astimezone(zone).date()
        team = None if user == BOB else "Nurses" if day < CHANGE else "Doctors"
        teams[team, day, channel, direction] += 1
        if party == CLIENT:
            place = ("call", "text", "fax").index(channel)
            counts = times["C-1" if day < CHANGE else "C-2", day, user]
            counts[place] += 1
            counts[3] += 2 * (channel == "call")
    database = build(*made)
    found = database.query("SELECT team, local_date, channel, direction, records FROM marts.team_daily")
    assert {row[:4]: row[4] for row in found} == teams
    found = database.query(
        "SELECT reference, local_date, user_id, calls, texts, faxes, coalesce(minutes, 0) FROM marts.reference_time"
    )
    assert {row[:3]: list(row[3:]) for row in found} == times
