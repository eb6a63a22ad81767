"""Split checks: suspicious responses, confirmation, and windows that cannot be confirmed. Without HTTP."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from iplum_resource.errors import RowCapReached, SplitCheckFailed
from iplum_resource.http.responses import WindowResponse
from iplum_resource.window import Window
from iplum_resource.window_pull import ResponseSizes, Verify, WindowPull
from tests.support.window_pulls import LATER, FakeApi, build_response, ids_of, pull, spread_evenly
from tests.support.window_requests import WIDE

MINUTE = timedelta(minutes=1)
NEXT = Window(WIDE.end, WIDE.end + WIDE.width)
EARLY, LATE = WIDE.halves()


def test_verify_off_accepts_everything() -> None:
    api = FakeApi(spread_evenly(80), cap=50)
    pulled = pull(api, verify="off", sizes=ResponseSizes({NEXT: 50}, row_caps={50}))
    assert api.requests == [WIDE]
    assert [(response.reason, response.complete) for response in pulled.responses] == [("pull", True)]
    assert len(pulled.complete_ids) == 50


def test_verify_always_splits_every_window_with_rows() -> None:
    api = FakeApi(spread_evenly(3))
    pulled = pull(api, verify="always")
    assert api.requests == [WIDE, EARLY, LATE]
    assert [(response.response.window, response.reason, response.complete) for response in pulled.responses] == [
        (WIDE, "pull", False),
        (EARLY, "halves", False),
        (LATE, "halves", False),
        (WIDE, "pull", True),
    ]


@pytest.mark.parametrize("verify", ["auto", "always"])
def test_an_empty_response_is_not_suspicious(verify: Verify) -> None:
    api = FakeApi({})
    assert pull(api, verify=verify).complete_windows == [WIDE]
    assert api.requests == [WIDE]


def test_a_true_count_that_looks_like_a_row_cap_is_confirmed_with_few_requests() -> None:
    api, sizes = FakeApi(spread_evenly(100)), ResponseSizes()
    pulled = pull(api, sizes=sizes)
    assert pulled.error is None
    assert len(api.requests) <= 7  # 50 in each half look like a cap as well
    assert pulled.complete_windows == [WIDE]
    assert sizes.row_caps == set()


def test_twelve_texts_in_one_half_are_split_until_they_separate() -> None:
    start = WIDE.start + timedelta(hours=30)
    api = FakeApi({f"r-{number}": start + number * 2 * MINUTE for number in range(12)})
    pulled = pull(api, verify="always")
    assert pulled.error is None
    assert pulled.complete_windows == [WIDE]
    assert len(api.requests) <= 2 * 13 + 1


@pytest.mark.parametrize(("cap", "rows"), [(50, 51), (50, 50), (137, 200), (137, 137), (10, 10)])
def test_a_second_that_cannot_be_confirmed_fails_alone(cap: int, rows: int) -> None:
    """All rows are in one second, so the response may be truncated and must not be accepted."""
    crowded = WIDE.start + timedelta(days=2)
    later = spread_evenly(30, window=Window(WIDE.start + timedelta(days=4), WIDE.end), name="later")
    api = FakeApi({**{f"r-{number}": crowded for number in range(rows)}, **later}, cap=cap)
    pulled = pull(api, verify="always")
    assert type(pulled.error) is RowCapReached
    assert f"{cap} rows in 0:00:01" in str(pulled.error)
    assert set(later) <= pulled.complete_ids
    assert WIDE not in pulled.complete_windows
    # At most two searches down to the second: a row on a boundary is returned for both sides.
    assert len(api.requests) <= 4 * 20


def test_a_busy_minute_is_split_by_seconds() -> None:
    """60 texts to a mailing list: all in one minute, no other rows in the window, and no row cap."""
    start = WIDE.start + timedelta(hours=30)
    api = FakeApi({f"r-{number}": start + timedelta(seconds=number) for number in range(60)})
    pulled = pull(api, verify="always")
    assert (pulled.error, pulled.complete_windows) == (None, [WIDE])


@pytest.mark.parametrize("days", [-2, 2], ids=["before", "after"])
def test_a_larger_neighboring_window_confirms_a_busy_second(days: int) -> None:
    second = WIDE.start + timedelta(days=1 if days < 0 else 4)
    busy = {f"r-{number}": second for number in range(12)}
    api = FakeApi({**busy, "neighbor": second + timedelta(days=days)})
    pulled = pull(api, verify="always")
    assert (pulled.error, pulled.complete_windows) == (None, [WIDE])
    assert pulled.received_ids == set(busy), "rows of the comparison window are not part of this window"
    capped = pull(FakeApi(api.rows, cap=12), verify="always")
    assert type(capped.error) is RowCapReached, "a row cap of 12 cannot be distinguished from 12 rows"


def test_a_larger_response_of_the_run_confirms_a_busy_second() -> None:
    api = FakeApi({f"r-{number}": WIDE.start + timedelta(days=2) for number in range(12)})
    sizes = ResponseSizes()
    pull(FakeApi(spread_evenly(13, window=NEXT)), NEXT, sizes=sizes)
    pulled = pull(api, verify="always", sizes=sizes)
    assert (pulled.error, pulled.complete_windows) == (None, [WIDE])
    assert api.requests == [WIDE, EARLY, LATE], "the busy second does not have to be narrowed down"
    earlier_run = pull(api, verify="always", sizes=ResponseSizes({NEXT: 13}))
    assert type(earlier_run.error) is RowCapReached, "the API may have introduced a row cap since"


def test_a_busy_second_is_not_accepted_if_the_wide_window_fails() -> None:
    second = Window(WIDE.start + timedelta(days=2), WIDE.start + timedelta(days=2, seconds=1))
    busy = FakeApi({f"r-{number}": second.start for number in range(12)}, widest=timedelta(days=1))
    pulled = pull(busy, verify="always")
    assert type(pulled.error) is RowCapReached
    assert pulled.received_ids == set(busy.rows)


def test_nine_rows_in_one_second_are_accepted_and_ten_are_not() -> None:
    second = WIDE.start + timedelta(days=2)
    ten = pull(FakeApi({f"r-{number}": second for number in range(10)}), verify="always")
    nine = pull(FakeApi({f"r-{number}": second for number in range(9)}), verify="always")
    assert type(ten.error) is RowCapReached
    assert (nine.error, len(nine.complete_ids)) == (None, 9)


def test_rows_missing_from_both_halves_fail_the_check() -> None:
    api = FakeApi(spread_evenly(50))

    def fetch(window: Window) -> WindowResponse:
        response = api(window)
        return response if window == WIDE else build_response(window, sorted(ids_of(response))[3:])

    pulled = pull(fetch)
    assert type(pulled.error) is SplitCheckFailed
    assert "6 rows are in the window's response and in neither half" in str(pulled.error)
    assert pulled.received_ids == set(api.rows)
    assert pulled.complete_windows == []


def test_a_contradiction_in_one_part_does_not_block_the_others() -> None:
    api = FakeApi({**spread_evenly(50, window=EARLY, name="early"), **spread_evenly(20, window=LATE, name="late")})

    def fetch(window: Window) -> WindowResponse:
        if window == WIDE:
            return build_response(window, [])
        response = api(window)
        is_in_contradiction = window.end <= EARLY.end and window != EARLY
        return build_response(window, sorted(ids_of(response))[1:]) if is_in_contradiction else response

    pulled = pull(fetch, sizes=ResponseSizes(widest_that_worked=EARLY.width))
    assert type(pulled.error) is SplitCheckFailed
    assert LATE in pulled.complete_windows
    assert pulled.received_ids == set(api.rows)


def test_a_row_that_arrives_during_the_check_is_stored() -> None:
    """The halves have more rows than the window's response, as under a row cap. All rows are stored."""
    rows = spread_evenly(50)
    api = FakeApi(rows)

    def fetch(window: Window) -> WindowResponse:
        response = api(window)
        api.rows = {**rows, "new": WIDE.start + timedelta(hours=1)}
        return response

    pulled = pull(fetch)
    assert pulled.error is None
    assert pulled.complete_ids == {*rows, "new"}


def test_a_few_rows_that_grow_during_the_check_are_not_a_cap() -> None:
    sizes = ResponseSizes()
    sizes.add_row_cap(3)
    assert not sizes.is_suspicious(3, besides=WIDE)


def test_a_slow_clock_does_not_stop_the_split_of_the_open_window() -> None:
    """All rows are after the clock's time. A repeated split there would never reduce the later half."""
    api = FakeApi(spread_evenly(50, window=LATE))
    now = WIDE.start

    def tick() -> datetime:
        nonlocal now
        now += MINUTE
        return now

    responses = list(WindowPull(api, WIDE, ResponseSizes(), "auto", tick))
    assert {name for response in responses if response.complete for name in ids_of(response.response)} == set(api.rows)
    assert len(api.requests) <= 9


def test_a_confirmed_window_yields_its_response_first_and_last() -> None:
    """A run that is killed in between keeps the rows as unconfirmed."""
    pulled = pull(FakeApi(spread_evenly(50)))
    completeness = [response.complete for response in pulled.responses if response.response.window == WIDE]
    assert completeness == [False, True]
    assert pulled.responses[0].response is pulled.responses[-1].response


def test_the_responses_of_an_audit_have_the_reason_audit() -> None:
    pulls = WindowPull(FakeApi(spread_evenly(3)), WIDE, ResponseSizes(), "always", lambda: LATER, reason="audit")
    assert [response.reason for response in pulls] == ["audit", "halves", "halves", "audit"]


@pytest.mark.parametrize(
    ("rows", "suspicious"),
    [(0, False), (1, False), (9, False), (49, False), (50, True), (51, False), (100, True), (137, True), (1000, True)],
)
def test_suspicious_row_counts(rows: int, suspicious: bool) -> None:
    sizes = ResponseSizes({WIDE: 137, NEXT: 9})
    assert sizes.is_suspicious(rows, besides=NEXT) is suspicious


@pytest.mark.parametrize(("sizes", "rows"), [({NEXT: 9}, 9), ({NEXT: 40, WIDE: 60}, 40), ({NEXT: 40}, 41)])
def test_a_row_count_that_differs_from_the_largest_is_not_suspicious(sizes: dict[Window, int], rows: int) -> None:
    assert not ResponseSizes(sizes).is_suspicious(rows, besides=Window(NEXT.end, NEXT.end + MINUTE))


def test_a_window_is_not_compared_with_itself() -> None:
    sizes = ResponseSizes({WIDE: 137})
    assert not sizes.is_suspicious(137, besides=WIDE)


def test_two_equal_responses_at_the_same_time_are_both_suspicious() -> None:
    """Two threads must not both compare their counts before either has added its own."""
    barrier, met = threading.Barrier(2), set[int]()

    class SynchronizedSizes(ResponseSizes):
        def is_suspicious(self, rows: int, *, besides: Window) -> bool:
            if threading.get_ident() not in met:
                met.add(threading.get_ident())
                barrier.wait(20)
            return super().is_suspicious(rows, besides=besides)

    sizes = SynchronizedSizes()
    api = FakeApi({**spread_evenly(60), **spread_evenly(60, window=NEXT, name="next")}, cap=37)
    with ThreadPoolExecutor(2) as pool:
        pulls = [pool.submit(pull, api, window, sizes=sizes) for window in (WIDE, NEXT)]
        found = [future.result(20).complete_ids for future in pulls]
    assert found == [set(spread_evenly(60)), set(spread_evenly(60, window=NEXT, name="next"))]
    assert sizes.row_caps == {37}
