"""When an answer is doubted, what proves it, and what can't be proven; without HTTP, for the rows are made up."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from iplum_resource.errors import RowCapReached, SplitCheckFailed
from iplum_resource.http.responses import WindowResponse
from iplum_resource.window import Window
from iplum_resource.window_pull import ResponseSizes, Verify, WindowPull
from tests.support.window_pulls import LATER, Account, build_answer, ids_of, pull, spread
from tests.support.window_requests import WIDE

MINUTE = timedelta(minutes=1)
NEXT = Window(WIDE.end, WIDE.end + WIDE.width)
EARLY, LATE = WIDE.halves()


def test_verify_off_believes_everything() -> None:
    account = Account(spread(80), cap=50)
    pulled = pull(account, verify="off", sizes=ResponseSizes({NEXT: 50}, capped={50}))
    assert account.asked == [WIDE]
    assert [(answer.reason, answer.complete) for answer in pulled.answers] == [("pull", True)]
    assert len(pulled.complete_ids) == 50


def test_verify_always_asks_every_window_with_rows_in_halves() -> None:
    account = Account(spread(3))
    pulled = pull(account, verify="always")
    assert account.asked == [WIDE, EARLY, LATE]
    assert [(answer.answer.window, answer.reason, answer.complete) for answer in pulled.answers] == [
        (WIDE, "pull", False),
        (EARLY, "halves", False),
        (LATE, "halves", False),
        (WIDE, "pull", True),
    ]


@pytest.mark.parametrize("verify", ["auto", "always"])
def test_an_empty_answer_is_not_doubted(verify: Verify) -> None:
    account = Account({})
    assert pull(account, verify=verify).complete_windows == [WIDE]
    assert account.asked == [WIDE]


def test_a_true_count_that_looks_like_a_cap_costs_two_requests() -> None:
    account, sizes = Account(spread(100)), ResponseSizes()
    pulled = pull(account, sizes=sizes)
    assert pulled.error is None
    assert len(account.asked) <= 7  # 50 in each half look like a cap as well
    assert pulled.complete_windows == [WIDE]
    assert sizes.capped == set()


def test_twelve_texts_in_one_half_are_halved_until_they_part() -> None:
    start = WIDE.start + timedelta(hours=30)
    account = Account({f"r-{number}": start + number * 2 * MINUTE for number in range(12)})
    pulled = pull(account, verify="always")
    assert pulled.error is None
    assert pulled.complete_windows == [WIDE]
    assert len(account.asked) <= 2 * 13 + 1


@pytest.mark.parametrize(("cap", "rows"), [(50, 51), (50, 50), (137, 200), (137, 137), (10, 10)])
def test_a_second_that_can_not_be_shown_to_be_whole_fails_and_holds_nothing_up(cap: int, rows: int) -> None:
    """All in one second. Whether there are more than came, nobody can tell, so it must not pass for whole."""
    crowded = WIDE.start + timedelta(days=2)
    later = spread(30, window=Window(WIDE.start + timedelta(days=4), WIDE.end), name="later")
    account = Account({**{f"r-{number}": crowded for number in range(rows)}, **later}, cap=cap)
    pulled = pull(account, verify="always")
    assert type(pulled.error) is RowCapReached
    assert f"{cap} rows in 0:00:01" in str(pulled.error)
    assert set(later) <= pulled.complete_ids
    assert WIDE not in pulled.complete_windows
    # Down to the second twice at most, for the row on an edge comes with both of its sides.
    assert len(account.asked) <= 4 * 20


def test_a_busy_minute_is_parted_by_its_seconds() -> None:
    """Sixty texts sent to a list: all in one minute, alone in their window, and never a cap."""
    start = WIDE.start + timedelta(hours=30)
    account = Account({f"r-{number}": start + timedelta(seconds=number) for number in range(60)})
    pulled = pull(account, verify="always")
    assert (pulled.error, pulled.complete_windows) == (None, [WIDE])


@pytest.mark.parametrize("days", [-2, 2], ids=["before", "after"])
def test_one_row_more_in_a_neighbours_window_tells_a_busy_second_from_a_cap(days: int) -> None:
    second = WIDE.start + timedelta(days=1 if days < 0 else 4)
    busy = {f"r-{number}": second for number in range(12)}
    account = Account({**busy, "neighbour": second + timedelta(days=days)})
    pulled = pull(account, verify="always")
    assert (pulled.error, pulled.complete_windows) == (None, [WIDE])
    assert pulled.kept_ids == set(busy), "what was asked for its size alone is not taken into this window"
    capped = pull(Account(account.rows, cap=12), verify="always")
    assert type(capped.error) is RowCapReached, (
        "with a cap of as many rows it would look the same, and must not pass"
    )


def test_a_larger_answer_of_the_same_run_tells_a_busy_second_from_a_cap() -> None:
    account = Account({f"r-{number}": WIDE.start + timedelta(days=2) for number in range(12)})
    sizes = ResponseSizes()
    pull(Account(spread(13, window=NEXT)), NEXT, sizes=sizes)
    pulled = pull(account, verify="always", sizes=sizes)
    assert (pulled.error, pulled.complete_windows) == (None, [WIDE])
    assert account.asked == [WIDE, EARLY, LATE], "nor does it have to be narrowed down"
    earlier_run = pull(account, verify="always", sizes=ResponseSizes({NEXT: 13}))
    assert type(earlier_run.error) is RowCapReached, "a cap may have come since"


def test_where_the_wide_stretch_fails_a_busy_second_is_not_believed() -> None:
    second = Window(WIDE.start + timedelta(days=2), WIDE.start + timedelta(days=2, seconds=1))
    busy = Account({f"r-{number}": second.start for number in range(12)}, widest=timedelta(days=1))
    pulled = pull(busy, verify="always")
    assert type(pulled.error) is RowCapReached
    assert pulled.kept_ids == set(busy.rows)


def test_ten_rows_of_one_second_alone_in_ten_days_are_not_believed_but_nine_are() -> None:
    second = WIDE.start + timedelta(days=2)
    ten = pull(Account({f"r-{number}": second for number in range(10)}), verify="always")
    nine = pull(Account({f"r-{number}": second for number in range(9)}), verify="always")
    assert type(ten.error) is RowCapReached
    assert (nine.error, len(nine.complete_ids)) == (None, 9)


def test_rows_that_come_with_the_whole_alone_prove_nothing() -> None:
    account = Account(spread(50))

    def ask(window: Window) -> WindowResponse:
        answer = account(window)
        return answer if window == WIDE else build_answer(window, sorted(ids_of(answer))[3:])

    pulled = pull(ask)
    assert type(pulled.error) is SplitCheckFailed
    assert "6 rows came with the whole and with neither half" in str(pulled.error)
    assert pulled.kept_ids == set(account.rows)
    assert pulled.complete_windows == []


def test_a_contradiction_in_one_part_does_not_hold_up_the_others() -> None:
    account = Account({**spread(50, window=EARLY, name="early"), **spread(20, window=LATE, name="late")})

    def ask(window: Window) -> WindowResponse:
        if window == WIDE:
            return build_answer(window, [])
        answer = account(window)
        is_in_contradiction = window.end <= EARLY.end and window != EARLY
        return build_answer(window, sorted(ids_of(answer))[1:]) if is_in_contradiction else answer

    pulled = pull(ask, sizes=ResponseSizes(widest_that_worked=EARLY.width))
    assert type(pulled.error) is SplitCheckFailed
    assert LATE in pulled.complete_windows
    assert pulled.kept_ids == set(account.rows)


def test_a_row_that_arrives_during_the_proof_is_taken() -> None:
    """The halves know more than the whole, as under a cap; they are what counts."""
    rows = spread(50)
    account = Account(rows)

    def ask(window: Window) -> WindowResponse:
        answer = account(window)
        account.rows = {**rows, "new": WIDE.start + timedelta(hours=1)}
        return answer

    pulled = pull(ask)
    assert pulled.error is None
    assert pulled.complete_ids == {*rows, "new"}


def test_a_few_rows_that_grew_during_the_proof_are_no_cap() -> None:
    sizes = ResponseSizes()
    sizes.note_cap(3)
    assert not sizes.is_suspect(3, besides=WIDE)


def test_a_clock_that_is_behind_does_not_keep_the_open_window_from_getting_narrow() -> None:
    """All rows lie after now, and now goes on: cut at it again and again, the later half would stay as large."""
    account = Account(spread(50, window=LATE))
    now = WIDE.start

    def tick() -> datetime:
        nonlocal now
        now += MINUTE
        return now

    answers = list(WindowPull(account, WIDE, ResponseSizes(), "auto", tick))
    assert {name for answer in answers if answer.complete for name in ids_of(answer.answer)} == set(account.rows)
    assert len(account.asked) <= 9


def test_the_whole_of_a_proven_window_comes_first_and_last() -> None:
    """So a run that is killed in between keeps the rows, and doesn't take them for proven."""
    pulled = pull(Account(spread(50)))
    whole = [answer.complete for answer in pulled.answers if answer.answer.window == WIDE]
    assert whole == [False, True]
    assert pulled.answers[0].answer is pulled.answers[-1].answer


def test_an_audit_is_named_as_such() -> None:
    pulls = WindowPull(Account(spread(3)), WIDE, ResponseSizes(), "always", lambda: LATER, reason="audit")
    assert [answer.reason for answer in pulls] == ["audit", "halves", "halves", "audit"]


@pytest.mark.parametrize(
    ("rows", "suspect"),
    [
        (0, False),
        (1, False),
        (9, False),
        (49, False),
        (50, True),
        (51, False),
        (100, True),
        (137, True),
        (1000, True),
    ],
)
def test_what_is_suspect(rows: int, suspect: bool) -> None:
    sizes = ResponseSizes({WIDE: 137, NEXT: 9})
    assert sizes.is_suspect(rows, besides=NEXT) is suspect


@pytest.mark.parametrize(("sizes", "rows"), [({NEXT: 9}, 9), ({NEXT: 40, WIDE: 60}, 40), ({NEXT: 40}, 41)])
def test_what_is_no_tie_of_the_largest(sizes: dict[Window, int], rows: int) -> None:
    assert not ResponseSizes(sizes).is_suspect(rows, besides=Window(NEXT.end, NEXT.end + MINUTE))


def test_a_window_is_no_tie_with_itself() -> None:
    sizes = ResponseSizes({WIDE: 137})
    assert not sizes.is_suspect(137, besides=WIDE)


def test_of_two_equal_answers_at_the_same_time_none_is_believed() -> None:
    """Two threads must not both compare before either has noted what it got."""
    together, met = threading.Barrier(2), set[int]()

    class Meeting(ResponseSizes):
        def is_suspect(self, rows: int, *, besides: Window) -> bool:
            if threading.get_ident() not in met:
                met.add(threading.get_ident())
                together.wait(20)
            return super().is_suspect(rows, besides=besides)

    sizes = Meeting()
    account = Account({**spread(60), **spread(60, window=NEXT, name="next")}, cap=37)
    with ThreadPoolExecutor(2) as pool:
        pulls = [pool.submit(pull, account, window, sizes=sizes) for window in (WIDE, NEXT)]
        found = [future.result(20).complete_ids for future in pulls]
    assert found == [set(spread(60)), set(spread(60, window=NEXT, name="next"))]
    assert sizes.capped == {37}
