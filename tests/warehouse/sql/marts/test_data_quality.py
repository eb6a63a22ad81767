"""Marts of data quality: recording matches and coverage, arrival lag, completeness and callback loss."""

from datetime import date
from typing import Any

import pytest

from tests.support.mart_database import ANN, BOB, MartDatabase, pull, recording, text, usage, utc


def match(calls: list[dict[str, Any]], *recordings: dict[str, Any]) -> list[tuple[Any, ...]]:
    database = MartDatabase(calls, recordings)
    return database.read_mart("recording_matches", "recording_id", "call_id", "delta_seconds", "status")


def test_a_recording_matches_the_call_that_starts_with_it() -> None:
    assert match([usage("c", "2026-03-02 12:00")], recording("r", "2026-03-02 12:00:04")) == [
        ("r", "c", 4.0, "mutual_nearest")
    ]


@pytest.mark.parametrize(
    ("at", "status"),
    [
        ("2026-03-02 11:58:00", "mutual_nearest"),
        ("2026-03-02 11:57:59", "unmatched"),
        ("2026-03-02 12:17:00", "mutual_nearest"),  # 2 billed minutes and 15 minutes of tolerance
        ("2026-03-02 12:17:01", "unmatched"),
    ],
)
def test_a_recording_matches_only_within_the_tolerance(at: str, status: str) -> None:
    assert match([usage("c", "2026-03-02 12:00")], recording("r", at))[0][3] == status


def test_the_tolerance_starts_at_the_end_of_a_call_across_midnight() -> None:
    call = usage("c", "2026-03-02 23:00", ended_at=utc("2026-03-03 01:00"))
    assert match([call], recording("r", "2026-03-03 01:15"))[0][3] == "mutual_nearest"


@pytest.mark.parametrize(
    "changes", [{"user_id": BOB}, {"direction": "out"}, {"counterparty": "+14085550101"}, {"account": "x"}]
)
def test_a_recording_matches_only_its_user_direction_counterparty_and_account(changes: dict[str, str]) -> None:
    assert match([usage("c", "2026-03-02 12:00", **changes)], recording("r", "2026-03-02 12:00"))[0][1:] == (
        None,
        None,
        "unmatched",
    )


def test_a_second_recording_of_a_call_is_an_extra_segment() -> None:
    calls = [usage("c", "2026-03-02 12:00", duration_minutes=20.0)]
    assert match(calls, recording("r", "2026-03-02 12:00:02"), recording("s", "2026-03-02 12:10")) == [
        ("r", "c", 2.0, "mutual_nearest"),
        ("s", "c", 600.0, "extra_segment"),
    ]


def test_a_recording_is_ambiguous_if_a_second_call_is_at_most_60_seconds_farther() -> None:
    calls = [usage("c", "2026-03-02 12:00"), usage("d", "2026-03-02 12:01")]
    assert match(calls, recording("r", "2026-03-02 12:00:10")) == [("r", "c", 10.0, "ambiguous")]
    far = [usage("c", "2026-03-02 12:00"), usage("d", "2026-03-02 12:01:21")]
    assert match(far, recording("r", "2026-03-02 12:00:10")) == [("r", "c", 10.0, "mutual_nearest")]


def test_ties_are_ambiguous_and_recordings_without_a_time_are_unmatched() -> None:
    calls = [usage("d", "2026-03-02 12:00"), usage("c", "2026-03-02 12:00")]
    assert match(calls, recording("r", "2026-03-02 12:00"), recording("x", None)) == [
        ("r", "c", 0.0, "ambiguous"),
        ("x", None, None, "unmatched"),
    ]


def test_recordings_of_two_accounts_may_have_the_same_id() -> None:
    recordings = [recording("r", "2026-03-02 12:00:04"), recording("r", "2026-03-02 12:00:04", account="other")]
    database = MartDatabase([usage("c", "2026-03-02 12:00")], recordings)
    assert database.read_mart("recording_matches", "account", "call_id", "status") == [
        ("default", "c", "mutual_nearest"),
        ("other", None, "unmatched"),
    ]


@pytest.mark.parametrize("minutes", [1e9, 1.5e11, 1e12, 9e14])
def test_a_huge_duration_does_not_fail_the_mart(minutes: float) -> None:
    calls = [usage("c", "2026-03-02 12:00", duration_minutes=minutes)]
    assert match(calls, recording("r", "2026-03-02 12:00:04"))[0][3] == "mutual_nearest"


def test_coverage_counts_calls_recorded_calls_and_unmatched_recordings() -> None:
    database = MartDatabase(
        [usage("c", "2026-03-02 12:00"), usage("d", "2026-03-02 15:00"), text("t", "2026-03-02 15:00")],
        [
            recording("r", "2026-03-02 12:00:04"),
            recording("s", "2026-03-02 12:05"),
            recording("u", "2026-03-03 12:00", user_id=BOB),
        ],
    )
    columns = ("user_id", "local_date", "calls", "recorded_calls", "recordings", "unmatched_recordings")
    assert database.read_mart("recording_coverage", *columns) == [
        (ANN, date(2026, 3, 2), 2, 1, 2, 0),
        (BOB, date(2026, 3, 3), 0, 0, 1, 1),
    ]


def test_arrival_lag_excludes_backfilled_and_pushed_records() -> None:
    rows = [
        usage("old", "2026-02-27 12:00", first_seen_at=utc("2026-03-03 02:00")),  # before the first pull
        usage("late", "2026-02-28 12:00", first_seen_at=utc("2026-03-04 02:00")),  # missing in the first pull
        usage("prompt", "2026-03-03 12:00", first_seen_at=utc("2026-03-04 02:00")),
        usage("too late", "2026-03-03 12:00", first_seen_at=utc("2026-05-01 02:00")),
        usage("pushed", "2026-03-03 12:00", origin="callback"),
        usage("pushed first", "2026-03-03 12:00", origin="both", first_seen_at=utc("2026-03-03 12:00:01")),
        usage("pulled first", "2026-03-03 12:00", origin="both", first_seen_at=utc("2026-03-04 02:00")),
        text("text", "2026-03-03 12:00", first_seen_at=utc("2026-03-03 13:00")),
    ]
    pulls = [
        pull(window, f"2026-03-{day:02d} 02:00", pull_id=f"{window}-{day}")
        for window in ("2026-02-27", "2026-03-03")
        for day in (3, 4)
    ]
    columns = ("dataset", "channel", "records", "p50_seconds / 3600", "max_seconds / 3600")
    assert MartDatabase(rows, pulls=pulls).read_mart("arrival_lag", *columns) == [
        ("usage", "call", 3, 14.0, 86.0),
        ("usage", "text", 1, 1.0, 1.0),
    ]


def test_verified_by_names_the_check_of_each_window() -> None:
    rows = [
        usage("a", "2026-03-02 12:00", absent_since=utc("2026-03-09 00:00")),
        usage("b", "2026-03-02 12:00", origin="callback"),
        usage("c", "2026-03-12 12:00", origin="callback"),
    ]
    pulls = [
        pull("2026-03-01", "2026-03-07 00:00", complete=False),
        pull("2026-03-01", "2026-03-08 00:00", reason="halves"),
        pull("2026-03-01", "2026-03-08 00:01", reason="halves", pull_id="2026-03-08 00:00"),
        pull("2026-03-06", "2026-03-08 00:00", rows=0),
        pull("2026-03-12", "2026-03-13 00:00", reason="callback", complete=False, dataset="usage_callbacks"),
        pull("2026-03-06", "2026-03-09 00:00", dataset="recordings", rows=None, complete=False),
    ]
    columns = ("dataset", "window_start", "pulls", "rows", "callback_only", "absent", "verified_by")
    assert MartDatabase(rows, pulls=pulls).read_mart("completeness", *columns) == [
        ("usage", date(2026, 3, 1), 2, 2, 1, 1, "halves"),
        ("usage", date(2026, 3, 6), 1, 0, 0, 0, "pull"),
        ("usage", date(2026, 3, 11), 0, 1, 1, 0, None),
    ]


def test_only_pulls_that_cover_the_window_verify_it() -> None:
    """A failed part of a pull leaves a gap."""
    early, late = {"request_end": utc("2026-03-03 00:00")}, {"request_start": utc("2026-03-03 00:00")}
    pulls = [
        pull("2026-03-01", "2026-03-07 00:00", reason="split", pull_id="with a gap", **early),
        pull("2026-03-01", "2026-03-07 00:00", reason="split", pull_id="with a gap", complete=False, **late),
        pull("2026-03-06", "2026-03-12 00:00", reason="split", pull_id="parts", request_end=utc("2026-03-08 00:00")),
        pull("2026-03-06", "2026-03-12 00:00", reason="halves", pull_id="parts", request_start=utc("2026-03-08 00:00")),
        pull("2026-03-11", "2026-03-17 00:00", complete=False),
        pull("2026-03-11", "2026-03-17 00:00", reason="halves", complete=False),
        pull("2026-03-11", "2026-03-17 00:00"),
        pull("2026-03-16", "2026-03-22 00:00"),
        pull("2026-03-16", "2026-03-23 00:00", reason="audit"),
        pull("2026-03-16", "2026-03-24 00:00"),
        pull("2026-03-21", "2026-03-27 00:00", reason="audit", complete=False),
    ]
    columns = ("window_start", "verified_by", "audited_at")
    assert MartDatabase(pulls=pulls).read_mart("completeness", *columns) == [
        (date(2026, 3, 1), None, None),
        (date(2026, 3, 6), "split", None),
        (date(2026, 3, 11), "halves", None),
        (date(2026, 3, 16), "audit", utc("2026-03-23 00:00")),
        (date(2026, 3, 21), None, None),
    ]


def test_usage_types_of_a_window_are_those_that_all_parts_of_a_pull_requested() -> None:
    late = {"request_start": utc("2026-03-08 00:00"), "pull_id": "parts", "reason": "split"}
    early = {"request_end": utc("2026-03-08 00:00"), "pull_id": "parts", "reason": "split"}
    pulls = [
        pull("2026-03-01", "2026-03-07 00:00", usage_types="fax"),
        pull("2026-03-01", "2026-03-08 00:00", usage_types="iplumcall,fax"),
        pull("2026-03-01", "2026-03-08 00:00", usage_types="externaltext", rows=None, complete=False),
        pull("2026-03-06", "2026-03-12 00:00", usage_types="iplumcall,fax", **early),
        pull("2026-03-06", "2026-03-12 00:00", usage_types="iplumcall", **late),
        pull("2026-03-11", "2026-03-17 00:00", usage_types="iplumcall,fax", complete=False),
        pull("2026-03-06", "2026-03-12 00:00", dataset="recordings"),
        pull("2026-03-16", "2026-03-22 00:00", usage_types="sms", account="other"),
    ]
    columns = ("account", "dataset", "window_start", "pulled_types", "missing_types")
    assert MartDatabase(pulls=pulls).read_mart("completeness", *columns) == [
        ("default", "recordings", date(2026, 3, 6), None, None),
        ("default", "usage", date(2026, 3, 1), "fax,iplumcall", None),
        ("default", "usage", date(2026, 3, 6), "iplumcall", "fax"),
        ("default", "usage", date(2026, 3, 11), None, "fax,iplumcall"),
        ("other", "usage", date(2026, 3, 16), "sms", None),
    ]


def test_callback_loss_is_counted_since_the_first_callback() -> None:
    rows = [
        usage("before", "2026-03-02 11:00"),
        usage("first", "2026-03-02 12:00", origin="both"),
        usage("lost", "2026-03-02 12:30"),
        usage("not pulled yet", "2026-03-03 12:00", origin="callback"),
    ]
    columns = ("dataset", "local_date", "pushed_and_pulled", "pushed_only", "pulled_only", "loss_rate")
    database = MartDatabase(rows, [recording("r", "2026-03-02 12:00")])
    assert database.read_mart("callback_loss", *columns) == [
        ("usage", date(2026, 3, 2), 1, 0, 1, 0.5),
        ("usage", date(2026, 3, 3), 0, 1, 0, None),
    ]
