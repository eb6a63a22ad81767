"""Data problems: records that cannot be used as iPlum sent them are counted, named and found by verification."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.raw_responses import WINDOW, call, create_folder, fold, response
from warehouse.checks.data_problems import find_problems
from warehouse.checks.verification import Verification
from warehouse.outputs.query import run_query
from warehouse.snapshot.publish import publish
from warehouse.storage.paths import DataFolder


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return create_folder(tmp_path)


def list_problems(folder: DataFolder) -> list[str]:
    return [str(problem) for problem in find_problems(folder)]


def select(folder: DataFolder, sql: str) -> list[tuple[Any, ...]]:
    return list(run_query(folder, sql).rows)


def test_a_record_without_an_id_is_reported_as_damage(folder: DataFolder) -> None:
    fold(folder, response([call("a"), {**call("b"), "recordId": None}], 1))
    publish(folder)
    (problem,) = find_problems(folder)
    assert problem.is_damage
    assert str(problem) == (
        "usage of account default: 1 record without a readable ID, in the raw log only "
        "(window 2023-03-21 at 2 in the response)"
    )
    assert [str(problem) in str(mismatch) for mismatch in Verification(folder=folder).find_mismatches()] == [True]
    assert find_problems(folder, ["other"]) == []
    assert find_problems(folder, since=WINDOW.end) == []


def test_different_payloads_in_one_response_are_not_merged(folder: DataFolder) -> None:
    records = [
        call("a", direction="out", clientReferenceId="client-A", userId="a@clinic.example"),
        call("a", direction="in", clientReferenceId=None, userId="b@clinic.example", iPlumCredits=0),
        call("b"),
        call("b"),
    ]
    for hours, ordered in enumerate((records, records[::-1]), start=1):
        fold(folder, response(ordered, hours))
    publish(folder)
    rows = select(folder, "SELECT user_id, direction, client_reference_id, credits FROM usage ORDER BY record_id")
    assert rows == [("a@clinic.example", "out", "client-A", 2.0), ("test@test.com", "in", "1234", 2.0)]
    (extra,) = select(folder, "SELECT extra FROM usage WHERE record_id = 'a'")[0]
    assert json.loads(extra) == {"conflicting_payloads": [records[1]]}
    assert select(folder, "SELECT extra FROM usage WHERE record_id = 'b'") == [(None,)], "no conflict"
    (problem,) = find_problems(folder)
    assert not problem.is_damage
    assert "1 record ID with different payloads in one response" in str(problem)
    verification = Verification(folder=folder)
    assert list(verification.find_mismatches()) == []
    assert list(verification.find_notes()) == [str(problem)]


def test_a_conflict_ends_when_a_later_response_has_none(folder: DataFolder) -> None:
    fold(
        folder, response([call("a", duration="1"), call("a", duration="2")], 1), response([call("a", duration="3")], 2)
    )
    publish(folder)
    assert select(folder, "SELECT duration_minutes, extra FROM usage") == [(3.0, None)]
    assert list_problems(folder) == []


@pytest.mark.parametrize("time", ["2099-05-01T09:00:00Z", "1999-12-31T23:59:59Z", "0001-01-01T00:00:00"])
@pytest.mark.parametrize("field", ["startTimeUTC", "endTimeUTC"])
def test_an_impossible_time_is_kept_in_extra_and_has_no_date_in_marts(
    folder: DataFolder, time: str, field: str
) -> None:
    fold(folder, response([call("a"), call("b", **{field: time})], 1))
    publish(folder)
    assert select(folder, "SELECT extra FROM usage ORDER BY record_id") == [(None,), (f'{{"{field}": "{time}"}}',)]
    assert select(folder, "SELECT count(*) FROM marts.daily_totals WHERE local_date > '2023-03-25'") == [(0,)]
    assert select(folder, "SELECT sum(records) FROM marts.daily_totals") == [(2,)]
    (problem,) = list_problems(folder)
    assert "1 row with an impossible time" in problem


@pytest.mark.parametrize(("hours_later", "is_plausible"), [(23, True), (24, True), (25, False)])
def test_a_start_up_to_a_day_after_the_response_is_accepted(
    folder: DataFolder, hours_later: int, is_plausible: bool
) -> None:
    """The response is of 1 April, 01:00; the record starts `hours_later` hours later."""
    start = f"2023-04-02T{hours_later - 23:02d}:00:00Z"
    fold(folder, response([call("a", start)], 1))
    publish(folder)
    assert select(folder, "SELECT started_at IS NOT NULL FROM usage") == [(is_plausible,)]


def test_a_value_that_iplum_has_removed_is_reported_as_a_note(folder: DataFolder) -> None:
    first = [call("a", clientReferenceId="x"), call("b"), call("c")]
    fold(folder, response(first, 1))
    fold(folder, response([call("a", clientReferenceId=None), call("b", duration="long"), call("c", userId=None)], 2))
    publish(folder)
    assert select(folder, "SELECT client_reference_id FROM usage WHERE record_id = 'a'") == [("x",)]
    verification = Verification(folder=folder)
    assert list(verification.find_mismatches()) == []
    assert list(verification.find_notes()) == [
        "usage of account default: 2 rows keep a value that iPlum has since removed from the record"
    ]


@pytest.mark.parametrize(("end", "is_plausible"), [("2023-03-31T00:00:00Z", True), ("2023-03-31T00:00:01Z", False)])
def test_an_end_is_at_most_a_week_after_its_start(folder: DataFolder, end: str, is_plausible: bool) -> None:
    fold(folder, response([call("a", "2023-03-24T00:00:00Z", endTimeUTC=end), call("b")], 1))
    publish(folder)
    assert select(folder, "SELECT ended_at IS NOT NULL FROM usage ORDER BY record_id") == [(is_plausible,), (True,)]
    assert bool(list_problems(folder)) is not is_plausible
