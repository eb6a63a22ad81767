"""Responses that the server truncates without notice, over HTTP: detected, and completed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from iplum_resource.standin.server import Running
from iplum_resource.window import Window
from iplum_resource.window_pull import ResponseSizes
from tests.support.window_pulls import LATER, asking, ids_of, list_true_ids, pull
from tests.support.window_requests import WIDE

NEXT = Window(WIDE.end, WIDE.end + WIDE.width)


@pytest.mark.parametrize(
    ("cap", "rows_per_day", "most_requests", "filter_by", "end_inclusive"),
    [
        (50, 30, 16, "start", True),
        (50, 30, 16, "start", False),
        (50, 30, 16, "end", True),
        (50, 30, 16, "end", False),
        (100, 60, 16, "start", True),
        (500, 120, 3, "end", False),
    ],
)
def test_a_round_cap_is_beaten(
    standin: Running,
    cap: int,
    rows_per_day: float,
    most_requests: int,
    filter_by: Literal["start", "end"],
    end_inclusive: bool,
) -> None:
    with asking(
        standin,
        row_cap=cap,
        rows_per_day=rows_per_day,
        filter_by=filter_by,
        end_inclusive=end_inclusive,
        now=lambda: LATER,
    ) as fetch:
        true_ids = list_true_ids(standin)
        sizes = ResponseSizes()
        pulled = pull(fetch, sizes=sizes)
    assert len(true_ids) > cap
    assert pulled.error is None
    assert pulled.complete_ids == true_ids
    assert sizes.row_caps == {cap}
    assert len(standin.requests) <= most_requests


def test_an_odd_cap_is_found_at_its_second_appearance(standin: Running) -> None:
    sizes = ResponseSizes()
    with asking(standin, row_cap=137, rows_per_day=40, now=lambda: LATER) as fetch:
        true_ids, next_ids = list_true_ids(standin), list_true_ids(standin, NEXT)
        believed = pull(fetch, NEXT, sizes=sizes)
        assert (len(believed.complete_ids), len(standin.requests)) == (137, 1)
        found = pull(fetch, sizes=sizes)
        assert sizes.row_caps == {137}
        asked_again = pull(fetch, NEXT, sizes=sizes)
    assert found.complete_ids == true_ids
    assert asked_again.complete_ids == next_ids
    assert min(len(true_ids), len(next_ids)) > 137
    assert len(standin.requests) <= 1 + 2 * 7


@pytest.mark.parametrize("cap", [73, 137])
def test_an_odd_cap_is_found_at_once_where_every_answer_is_proven(standin: Running, cap: int) -> None:
    with asking(standin, row_cap=cap, rows_per_day=40, now=lambda: LATER) as fetch:
        true_ids = list_true_ids(standin)
        assert pull(fetch, verify="always").complete_ids == true_ids
    assert len(true_ids) > 137


@pytest.mark.parametrize("cap", [50, 73, 100, 500])
def test_a_cap_is_beaten_where_all_rows_lie_in_one_half(standin: Running, cap: int) -> None:
    """History begins late in the window: its first half is empty, and the second as large as the whole."""
    rows_per_day = cap * 0.9
    last_days = (WIDE.start + timedelta(days=3)).date()
    with asking(standin, row_cap=cap, rows_per_day=rows_per_day, first_day=last_days, now=lambda: LATER) as fetch:
        true_ids = list_true_ids(standin)
        assert pull(fetch, verify="always").complete_ids == true_ids
    assert len(true_ids) > cap


def test_an_odd_cap_is_known_from_an_earlier_run(standin: Running) -> None:
    with asking(standin, row_cap=137, rows_per_day=40, now=lambda: LATER) as fetch:
        true_ids = list_true_ids(standin)
        assert pull(fetch, sizes=ResponseSizes({NEXT: 137})).complete_ids == true_ids


def test_a_cap_is_beaten_where_wide_windows_fail(standin: Running) -> None:
    day = timedelta(days=1)
    with asking(standin, row_cap=50, rows_per_day=60, fail_500_wider_than=day, now=lambda: LATER) as fetch:
        true_ids = list_true_ids(standin)
        pulled = pull(fetch)
    assert pulled.error is None
    assert pulled.complete_ids == true_ids
    # Three widths fail thrice each, the fourth has 8 parts, and some 60 of the 430 rows lie in each.
    assert len(standin.requests) <= 3 * 3 + 8 * 7


def test_an_account_whose_rows_all_lie_in_one_half(standin: Running) -> None:
    """A half as large as the whole is inconclusive, so it is split further."""
    friday = datetime(2024, 1, 5, tzinfo=UTC)
    with asking(standin, row_cap=50, rows_per_day=100, purge_before=friday, now=lambda: LATER) as fetch:
        pulled = pull(fetch)
        assert len(standin.requests) <= 20
        standin.options = replace(standin.options, row_cap=None)
        true_ids = ids_of(fetch(WIDE))
    assert len(true_ids) > 50
    assert pulled.error is None
    assert pulled.complete_ids == true_ids


@pytest.mark.parametrize("now", [datetime(2024, 1, 3, 9, 30, 0, 250_000, tzinfo=UTC), WIDE.start + timedelta(hours=1)])
def test_the_open_window_is_halved_at_now(standin: Running, now: datetime) -> None:
    with asking(standin, rows_per_day=30, now=lambda: now) as fetch:
        true_ids = list_true_ids(standin)
        assert pull(fetch, verify="always", now=now).complete_ids == true_ids
    asked = [(body["StartDate"], body["EndDate"]) for body in (r.body for r in standin.requests) if body]
    cut = f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03d}"
    start, end = WIDE.request_dates
    if true_ids:
        assert asked[1] == (start, cut)
        assert (cut, end) in asked
    else:
        assert asked == [(start, end)]


def test_nothing_is_asked_twice_of_an_answer_beyond_doubt(standin: Running) -> None:
    with asking(standin, rows_per_day=31, now=lambda: LATER) as fetch:
        true_ids = list_true_ids(standin)
        pulled = pull(fetch)
    assert len(true_ids) % 50 != 0
    assert pulled.complete_ids == true_ids
    assert len(standin.requests) == 1


def test_what_can_not_be_identified_does_not_keep_a_window_from_being_proven(standin: Running) -> None:
    """Rows without an id, and elements that are no objects, come with the whole and with both halves."""
    with asking(standin, odd_rows=True, unknown_fields=True, now=lambda: LATER) as fetch:
        pulled = pull(fetch, verify="always")
    assert pulled.error is None
    assert pulled.complete_windows == [WIDE]
