"""The invented history of the stand-in: reproducible, consistent across windows, and in the documented format."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iplum_resource.standin.history import History
from iplum_resource.standin.options import Options
from iplum_resource.standin.server import Running, running
from tests.iplum_resource.standin.test_signing import list_recordings, list_usage

NOW = datetime(2024, 3, 20, 15, 30, tzinfo=UTC)
OPTIONS = Options(rows_per_day=120, now=lambda: NOW)
MONDAY, SATURDAY = "2024-03-11 00:00:00.000", "2024-03-16 00:00:00.000"
INSTANTS = st.integers(0, 21 * 86_400_000).map(
    lambda milliseconds: datetime(2024, 3, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
)
USAGE_KEYS = [
    *("source", "clientReferenceId", "usage", "recordId", "from", "to", "startTimeUTC", "endTimeUTC"),
    *("duration", "direction", "type", "iPlumCredits", "userId"),
]
RECORDING_KEYS = [
    *("source", "clientReferenceId", "recordId", "phonenumber", "dateTimeUTC", "duration", "direction"),
    *("length", "userId"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(OPTIONS) as standin:
        yield standin


@pytest.fixture
def standin(server: Running) -> Running:
    server.options = OPTIONS
    return server


def ids_of(rows: list[dict[str, Any]]) -> list[str]:
    return [row["recordId"] for row in rows]


def parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


@settings(max_examples=60, deadline=None)
@given(instants=st.lists(INSTANTS, min_size=3, max_size=3).map(sorted), seed=st.integers(1, 3), odd=st.booleans())
def test_the_rows_of_two_halves_are_the_rows_of_the_window(instants: list[datetime], seed: int, odd: bool) -> None:
    options = replace(OPTIONS, seed=seed, end_inclusive=False, unknown_fields=odd)
    start, middle, end = instants
    for dataset in ("usage", "recordings"):
        whole = History(options).list_rows(dataset, start, end=end)
        fresh = History(options)
        halves = fresh.list_rows(dataset, start, end=middle) + fresh.list_rows(dataset, middle, end=end)
        assert halves == whole


@settings(max_examples=30, deadline=None)
@given(instants=st.lists(INSTANTS, min_size=3, max_size=3).map(sorted))
def test_the_rows_of_two_halves_add_up_with_inclusive_ends_and_odd_rows(instants: list[datetime]) -> None:
    history = History(replace(OPTIONS, odd_rows=True, filter_by="end", late_rows=0.5))
    start, middle, end = instants

    def ids_between(first: datetime, last: datetime) -> set[str]:
        rows = [json.loads(row) for row in history.list_rows("usage", first, end=last)]
        return {row["recordId"] for row in rows if isinstance(row, dict) and "recordId" in row}

    assert ids_between(start, middle) | ids_between(middle, end) == ids_between(start, end)


def test_another_server_with_the_same_options_returns_the_same_history(standin: Running) -> None:
    usage, recordings = list_usage(standin, MONDAY, SATURDAY), list_recordings(standin, MONDAY, SATURDAY)
    assert len(usage) > 400
    assert len(recordings) > 40
    with running(OPTIONS) as other:
        assert list_usage(other, MONDAY, SATURDAY) == usage
        assert list_recordings(other, MONDAY, SATURDAY) == recordings
        other.options = replace(OPTIONS, seed=2)
        assert not set(ids_of(list_usage(other, MONDAY, SATURDAY))) & set(ids_of(usage))


def test_usage_rows_are_as_documented(standin: Running) -> None:
    rows = list_usage(standin, MONDAY, SATURDAY)
    assert all(list(row) == USAGE_KEYS for row in rows)
    for name in set(USAGE_KEYS) - {"clientReferenceId", "iPlumCredits"}:
        assert all(type(row[name]) is str for row in rows), name
    assert {type(row["clientReferenceId"]) for row in rows} == {str, type(None)}
    assert {type(row["iPlumCredits"]) for row in rows} == {int, type(None)}
    assert {row["source"] for row in rows} == {"iPlum"}
    assert {row["direction"] for row in rows} == {"in", "out"}
    assert all(row["duration"] == "1" for row in rows if row["usage"] == "text")
    assert all(re.fullmatch(r"[A-Za-z0-9]{23}\.[a-z0-9]{5}\.[a-z0-9]{8}", row["recordId"]) for row in rows)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["startTimeUTC"]) for row in rows)
    assert len(set(ids_of(rows))) == len(rows)
    starts = [row["startTimeUTC"] for row in rows]
    assert starts == sorted(starts)
    assert all(row["endTimeUTC"] >= row["startTimeUTC"] for row in rows)


def test_recording_rows_are_as_documented_and_match_a_call(standin: Running) -> None:
    rows = list_recordings(standin, MONDAY, SATURDAY)
    calls = [row for row in list_usage(standin, MONDAY, SATURDAY) if row["usage"] == "call"]
    assert all(list(row) == RECORDING_KEYS for row in rows)
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\w{6}", name) for name in ids_of(rows))
    assert len(set(ids_of(rows))) == len(rows)
    assert {row["length"].split()[1] for row in rows} == {"KB", "MB"}
    assert all(re.fullmatch(r"\d+\.\d [KM]B", row["length"]) for row in rows)
    for row in rows:
        at = parse_time(row["dateTimeUTC"])
        assert any(
            call["userId"] == row["userId"]
            and call["direction"] == row["direction"]
            and row["phonenumber"] in (call["from"], call["to"])
            and timedelta(0) <= at - parse_time(call["startTimeUTC"]) < timedelta(seconds=10)
            for call in calls
        )


def test_parties_recur_and_have_invented_numbers_and_addresses(standin: Running) -> None:
    rows = list_usage(standin, MONDAY, SATURDAY)
    parties = {party for row in rows for party in (row["from"], row["to"])}
    pattern = re.compile(r"\+1\d{3}55501\d\d|[a-z]+\.[a-z]+@clinic\.example|\d{5,6}")
    assert all(pattern.fullmatch(party) for party in parties)
    assert any(party.isdigit() for party in parties)
    assert len(parties) < len(rows) / 2
    texts = [(row["userId"], row["from"], row["to"]) for row in rows if row["usage"] == "text"]
    assert any((user, to, sender) in texts for user, sender, to in texts)


def test_an_internal_call_or_text_has_a_row_for_both_users(standin: Running) -> None:
    rows = [row for row in list_usage(standin, MONDAY, SATURDAY) if row["type"] == "iplum"]
    sent = [row for row in rows if row["direction"] == "out"]
    assert sent
    assert len(sent) * 2 == len(rows)
    for row in sent:
        assert any(
            (mirror["from"], mirror["to"], mirror["direction"]) == (row["from"], row["to"], "in")
            and mirror["userId"] == row["to"] != row["userId"] == row["from"]
            and timedelta(0)
            <= parse_time(mirror["startTimeUTC"]) - parse_time(row["startTimeUTC"])
            < timedelta(seconds=5)
            for mirror in rows
        )


def test_most_activity_is_on_weekdays_in_the_daytime() -> None:
    history = History(Options(rows_per_day=100, now=lambda: NOW))
    starts = []
    for day in range(70):
        start = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=day)
        rows = history.list_rows("usage", start, end=start + timedelta(hours=23, minutes=59))
        starts += [parse_time(json.loads(row)["startTimeUTC"]) for row in rows]
    assert 0.93 < len(starts) / 7000 < 1.07
    assert sum(start.weekday() >= 5 for start in starts) / len(starts) < 0.2
    assert sum(8 <= start.hour < 18 for start in starts) / len(starts) > 0.7


def test_each_day_has_a_row_at_midnight_and_some_calls_cross_midnight(standin: Running) -> None:
    rows = list_usage(standin, MONDAY, SATURDAY)
    assert sum(row["startTimeUTC"].endswith("T00:00:00Z") for row in rows) >= 5
    assert any(row["startTimeUTC"][:10] < row["endTimeUTC"][:10] for row in rows)


@pytest.mark.parametrize("inclusive", [True, False])
def test_the_end_of_a_window_is_inclusive_or_exclusive_as_configured(standin: Running, inclusive: bool) -> None:
    standin.options = replace(OPTIONS, end_inclusive=inclusive)
    starts = [row["startTimeUTC"] for row in list_usage(standin, MONDAY, "2024-03-12 00:00:00.000")]
    assert starts[0] == "2024-03-11T00:00:00Z"
    assert ("2024-03-12T00:00:00Z" in starts) is inclusive
    starts = [row["startTimeUTC"] for row in list_usage(standin, MONDAY, "2024-03-12 00:00:00.001")]
    assert "2024-03-12T00:00:00Z" in starts


def test_windows_can_filter_by_the_end_of_a_record(standin: Running) -> None:
    by_start = list_usage(standin, "2024-03-11 00:00:00.000", "2024-03-14 00:00:00.000")
    crossing = [row for row in by_start if row["startTimeUTC"] < "2024-03-13" <= row["endTimeUTC"]]
    assert crossing
    standin.options = replace(OPTIONS, filter_by="end")
    rows = list_usage(standin, "2024-03-13 00:00:00.000", "2024-03-14 00:00:00.000")
    assert all("2024-03-13T00:00:00Z" <= row["endTimeUTC"] <= "2024-03-14T00:00:00Z" for row in rows)
    assert set(ids_of(crossing)) <= set(ids_of(rows))


def test_there_are_no_rows_before_the_first_day_or_in_the_future(standin: Running) -> None:
    standin.options = replace(OPTIONS, first_day=date(2024, 3, 18))
    rows = list_usage(standin, "2024-03-16 00:00:00.000", "2024-03-21 00:00:00.000")
    assert rows[0]["startTimeUTC"] == "2024-03-18T00:00:00Z"
    assert max(row["endTimeUTC"] for row in rows) <= "2024-03-20T15:30:00Z"
    assert rows[-1]["startTimeUTC"] > "2024-03-20T13"
    standin.options = replace(standin.options, now=lambda: NOW + timedelta(hours=3))
    later = list_usage(standin, "2024-03-16 00:00:00.000", "2024-03-21 00:00:00.000")
    assert set(ids_of(rows)) < set(ids_of(later))
    assert list_usage(standin, "2024-03-25 00:00:00.000", "2024-03-26 00:00:00.000") == []
    assert list_usage(standin, "0001-01-01 00:00:00.000", "0001-01-02 00:00:00.000") == []
    assert list_recordings(standin, "9999-12-30 00:00:00.000", "9999-12-31 23:59:59.000") == []


def test_purged_rows_are_not_returned(standin: Running) -> None:
    everything = list_usage(standin, MONDAY, SATURDAY)
    standin.options = replace(OPTIONS, purge_before=datetime(2024, 3, 13, 12, tzinfo=UTC))
    kept = [row for row in everything if row["startTimeUTC"] >= "2024-03-13T12:00:00Z"]
    assert list_usage(standin, MONDAY, SATURDAY) == kept
    assert list_recordings(standin, MONDAY, SATURDAY)[0]["dateTimeUTC"] > "2024-03-13T12"


def test_late_rows_appear_after_their_delay(standin: Running) -> None:
    day = ("2024-03-20 00:00:00.000", "2024-03-20 12:00:00.000")
    on_time = list_usage(standin, *day)
    standin.options = replace(OPTIONS, late_rows=0.4, late_by=timedelta(hours=24))
    early = list_usage(standin, *day)
    assert 0.3 * len(on_time) < len(early) < 0.9 * len(on_time)
    assert [row for row in on_time if row in early] == early
    standin.options = replace(standin.options, now=lambda: NOW + timedelta(hours=24))
    assert list_usage(standin, *day) == on_time


def test_a_row_cap_truncates_responses_without_notice(standin: Running) -> None:
    everything = list_usage(standin, MONDAY, SATURDAY)
    standin.options = replace(OPTIONS, row_cap=50)
    assert list_usage(standin, MONDAY, SATURDAY) == everything[:50]
    assert len(list_recordings(standin, MONDAY, SATURDAY)) <= 50


def test_unknown_fields_are_added_to_the_documented_ones(standin: Running) -> None:
    plain = list_usage(standin, MONDAY, SATURDAY)
    standin.options = replace(OPTIONS, unknown_fields=True)
    rows = list_usage(standin, MONDAY, SATURDAY)
    assert all(len(row) == len(USAGE_KEYS) + 3 for row in rows)
    assert [{name: row[name] for name in USAGE_KEYS} for row in rows] == plain
    assert len(list_recordings(standin, MONDAY, SATURDAY)[0]) == len(RECORDING_KEYS) + 3


def test_odd_rows_are_added_to_the_normal_ones(standin: Running) -> None:
    plain, recordings = list_usage(standin, MONDAY, SATURDAY), list_recordings(standin, MONDAY, SATURDAY)
    standin.options = replace(OPTIONS, odd_rows=True)
    for rows, before, time in (
        (list_usage(standin, MONDAY, SATURDAY), plain, "startTimeUTC"),
        (list_recordings(standin, MONDAY, SATURDAY), recordings, "dateTimeUTC"),
    ):
        objects: list[dict[str, Any]] = [row for row in rows if isinstance(row, dict)]
        assert len(objects) == len(rows) - 1
        assert sum("recordId" not in row for row in objects) == 1
        odd = [row for row in objects if "~" in row.get("recordId", "")]
        assert {row["duration"] for row in odd} > {None, "two"}
        assert any(not re.match(r"2024-", row[time]) for row in odd)
        assert [row for row in objects if "recordId" in row and row not in odd] == before
    assert list_usage(standin, "2024-03-25 00:00:00.000", "2024-03-26 00:00:00.000") == []


@pytest.mark.parametrize("users", [1, 500])
def test_almost_all_users_of_an_account_are_active_in_a_day(users: int) -> None:
    history = History(Options(rows_per_day=3000, users=users, now=lambda: NOW))
    start = datetime(2024, 3, 11, tzinfo=UTC)
    rows = [json.loads(row) for row in history.list_rows("usage", start, end=start + timedelta(days=1))]
    assert len({row["userId"] for row in rows}) > 0.9 * users
    assert any(row["type"] == "iplum" for row in rows) is (users > 1)


def test_a_negative_row_count_or_a_user_count_out_of_range_is_rejected() -> None:
    history = History(Options(rows_per_day=0))
    assert history.list_rows("usage", NOW, end=NOW + timedelta(days=5)) == []
    with pytest.raises(ValueError, match="rows_per_day"):
        Options(rows_per_day=-1)
    for users in (0, 501):
        with pytest.raises(ValueError, match="users"):
            Options(users=users)


def test_days_evicted_from_the_cache_are_regenerated_identically() -> None:
    history = History(Options(rows_per_day=45_000, now=lambda: NOW))
    start = datetime(2024, 3, 1, tzinfo=UTC)
    first = history.list_rows("usage", start, end=start + timedelta(hours=4))
    for day in range(1, 6):
        history.list_rows("usage", start + timedelta(days=day), end=start + timedelta(days=day, hours=1))
    assert history.list_rows("usage", start, end=start + timedelta(hours=4)) == first
