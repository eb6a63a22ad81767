"""Row caps, over HTTP: truncated responses are detected and completed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from iplum_resource.standin.server import Running
from iplum_resource.window import Window
from iplum_resource.window_pull import ResponseSizes
from tests.support.window_pulls import LATER, ids_of, list_expected_ids, open_fetch, pull
from tests.support.window_requests import WIDE

NEXT = Window(WIDE.end, WIDE.end + WIDE.width)


@pytest.mark.parametrize(
    ("cap", "rows_per_day", "max_requests", "filter_by", "end_inclusive"),
    [
        (50, 30, 16, "start", True),
        (50, 30, 16, "start", False),
        (50, 30, 16, "end", True),
        (50, 30, 16, "end", False),
        (100, 60, 16, "start", True),
        (500, 120, 3, "end", False),
    ],
)
def test_all_rows_are_pulled_despite_a_round_row_cap(
    standin: Running,
    cap: int,
    rows_per_day: float,
    max_requests: int,
    filter_by: Literal["start", "end"],
    end_inclusive: bool,
) -> None:
    with open_fetch(
        standin,
        row_cap=cap,
        rows_per_day=rows_per_day,
        filter_by=filter_by,
        end_inclusive=end_inclusive,
        now=lambda: LATER,
    ) as fetch:
        true_ids = list_expected_ids(standin)
        sizes = ResponseSizes()
        pulled = pull(fetch, sizes=sizes)
    assert len(true_ids) > cap
    assert pulled.error is None
    assert pulled.complete_ids == true_ids
    assert sizes.row_caps == {cap}
    assert len(standin.requests) <= max_requests


def test_an_arbitrary_row_cap_is_detected_when_a_second_response_has_the_same_row_count(standin: Running) -> None:
    sizes = ResponseSizes()
    with open_fetch(standin, row_cap=137, rows_per_day=40, now=lambda: LATER) as fetch:
        true_ids, next_ids = list_expected_ids(standin), list_expected_ids(standin, NEXT)
        accepted = pull(fetch, NEXT, sizes=sizes)
        assert (len(accepted.complete_ids), len(standin.requests)) == (137, 1)
        found = pull(fetch, sizes=sizes)
        assert sizes.row_caps == {137}
        pulled_again = pull(fetch, NEXT, sizes=sizes)
    assert found.complete_ids == true_ids
    assert pulled_again.complete_ids == next_ids
    assert min(len(true_ids), len(next_ids)) > 137
    assert len(standin.requests) <= 1 + 2 * 7


@pytest.mark.parametrize("cap", [73, 137])
def test_an_arbitrary_row_cap_is_detected_at_once_if_every_response_is_checked(standin: Running, cap: int) -> None:
    with open_fetch(standin, row_cap=cap, rows_per_day=40, now=lambda: LATER) as fetch:
        true_ids = list_expected_ids(standin)
        assert pull(fetch, verify="always").complete_ids == true_ids
    assert len(true_ids) > 137


@pytest.mark.parametrize("cap", [50, 73, 100, 500])
def test_all_rows_are_pulled_if_they_are_all_in_the_second_half(standin: Running, cap: int) -> None:
    """The history starts late in the window: the second half is as large as the whole window."""
    rows_per_day = cap * 0.9
    last_days = (WIDE.start + timedelta(days=3)).date()
    with open_fetch(standin, row_cap=cap, rows_per_day=rows_per_day, first_day=last_days, now=lambda: LATER) as fetch:
        true_ids = list_expected_ids(standin)
        assert pull(fetch, verify="always").complete_ids == true_ids
    assert len(true_ids) > cap


def test_an_arbitrary_row_cap_is_known_from_an_earlier_run(standin: Running) -> None:
    with open_fetch(standin, row_cap=137, rows_per_day=40, now=lambda: LATER) as fetch:
        true_ids = list_expected_ids(standin)
        assert pull(fetch, sizes=ResponseSizes({NEXT: 137})).complete_ids == true_ids


def test_all_rows_are_pulled_despite_a_row_cap_and_failing_wide_windows(standin: Running) -> None:
    day = timedelta(days=1)
    with open_fetch(standin, row_cap=50, rows_per_day=60, fail_500_wider_than=day, now=lambda: LATER) as fetch:
        true_ids = list_expected_ids(standin)
        pulled = pull(fetch)
    assert pulled.error is None
    assert pulled.complete_ids == true_ids
    # Three widths fail three times each. The fourth has 8 parts with about 60 of the 430 rows each.
    assert len(standin.requests) <= 3 * 3 + 8 * 7


def test_all_rows_are_pulled_if_older_rows_were_purged(standin: Running) -> None:
    """A half with as many rows as the window is inconclusive, so it is split further."""
    friday = datetime(2024, 1, 5, tzinfo=UTC)
    with open_fetch(standin, row_cap=50, rows_per_day=100, purge_before=friday, now=lambda: LATER) as fetch:
        pulled = pull(fetch)
        assert len(standin.requests) <= 20
        standin.options = replace(standin.options, row_cap=None)
        true_ids = ids_of(fetch(WIDE))
    assert len(true_ids) > 50
    assert pulled.error is None
    assert pulled.complete_ids == true_ids


@pytest.mark.parametrize("now", [datetime(2024, 1, 3, 9, 30, 0, 250_000, tzinfo=UTC), WIDE.start + timedelta(hours=1)])
def test_the_open_window_is_split_at_now(standin: Running, now: datetime) -> None:
    with open_fetch(standin, rows_per_day=30, now=lambda: now) as fetch:
        true_ids = list_expected_ids(standin)
        assert pull(fetch, verify="always", now=now).complete_ids == true_ids
    requested = [(body["StartDate"], body["EndDate"]) for body in (r.body for r in standin.requests) if body]
    split_at = f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03d}"
    start, end = WIDE.request_dates
    if true_ids:
        assert requested[1] == (start, split_at)
        assert (split_at, end) in requested
    else:
        assert requested == [(start, end)]


def test_a_response_with_an_unsuspicious_row_count_is_not_checked(standin: Running) -> None:
    with open_fetch(standin, rows_per_day=31, now=lambda: LATER) as fetch:
        true_ids = list_expected_ids(standin)
        pulled = pull(fetch)
    assert len(true_ids) % 50 != 0
    assert pulled.complete_ids == true_ids
    assert len(standin.requests) == 1


def test_rows_without_an_id_do_not_prevent_confirmation(standin: Running) -> None:
    """Rows without an id and elements that are not objects are in the window's response and in both halves."""
    with open_fetch(standin, odd_rows=True, unknown_fields=True, now=lambda: LATER) as fetch:
        pulled = pull(fetch, verify="always")
    assert pulled.error is None
    assert pulled.complete_windows == [WIDE]
