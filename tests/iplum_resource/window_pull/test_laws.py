"""Laws of every pull, for any rows, row cap and failures: all records arrive, or an error says so."""

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from iplum_resource.errors import RowCapReached, ServerFailed
from iplum_resource.window import Window
from iplum_resource.window_pull import ResponseSizes
from tests.support.window_pulls import Account, pull
from tests.support.window_requests import WIDE

SECONDS = int(WIDE.width.total_seconds())


def _spread_out() -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, SECONDS - 1), max_size=120)


def _crowded() -> st.SearchStrategy[list[int]]:
    """Rows in a few places, many of them within a minute or a second of each other."""
    places = st.lists(st.integers(0, SECONDS - 200), min_size=1, max_size=4)
    near = st.tuples(st.integers(0, 3), st.sampled_from([0, 0, 0, 1, 2, 30, 59, 60, 61, 120]))
    return st.builds(
        lambda starts, rows: [starts[place % len(starts)] + offset for place, offset in rows],
        places,
        st.lists(near, max_size=120),
    )


SECONDS_OF_ROWS = _spread_out() | _crowded() | st.builds(lambda a, b: a + b, _spread_out(), _crowded())


def _build_account(seconds: list[int], **options: object) -> Account:
    rows = {f"r-{number}": WIDE.start + timedelta(seconds=second) for number, second in enumerate(seconds)}
    return Account(rows, **options)  # type: ignore[arg-type]


def _find_incomplete(account: Account, answers: list[tuple[Window, set[str]]]) -> list[Window]:
    """Find the answers that were called complete and lack a row of their own window."""
    return [window for window, ids in answers if not set(account.list_ids(window)) <= ids]


@settings(max_examples=300, deadline=None)
@given(
    seconds=SECONDS_OF_ROWS,
    cap=st.integers(10, 60),
    end_inclusive=st.booleans(),
    widest=st.sampled_from([None, timedelta(days=1), timedelta(hours=6)]),
    now=st.datetimes(datetime(2023, 12, 30), datetime(2024, 1, 8)),  # noqa: DTZ001 - made aware below
)
def test_a_pull_that_proves_everything_brings_all_or_says_so(
    seconds: list[int], cap: int, end_inclusive: bool, widest: timedelta | None, now: datetime
) -> None:
    account = _build_account(seconds, cap=cap, end_inclusive=end_inclusive, widest=widest)
    pulled = pull(account, verify="always", now=now.replace(tzinfo=WIDE.start.tzinfo))
    if pulled.error is None:
        assert pulled.complete_ids == set(account.rows)
    else:
        assert type(pulled.error) is RowCapReached
    complete = [
        (a.response.window, {r["recordId"] for r in a.response.records if isinstance(r, dict)})
        for a in pulled.responses
        if a.complete
    ]
    assert _find_incomplete(account, complete) == []


@settings(max_examples=150, deadline=None)
@given(seconds=SECONDS_OF_ROWS, cap=st.sampled_from([50, 100]), end_inclusive=st.booleans())
def test_a_round_cap_is_never_missed(seconds: list[int], cap: int, end_inclusive: bool) -> None:
    account = _build_account(seconds, cap=cap, end_inclusive=end_inclusive)
    pulled = pull(account)
    if pulled.error is None:
        assert pulled.complete_ids == set(account.rows)
    else:
        assert type(pulled.error) is RowCapReached


@settings(max_examples=150, deadline=None)
@given(seconds=SECONDS_OF_ROWS, cap=st.integers(10, 60), end_inclusive=st.booleans())
def test_any_cap_that_is_known_is_never_missed(seconds: list[int], cap: int, end_inclusive: bool) -> None:
    account = _build_account(seconds, cap=cap, end_inclusive=end_inclusive)
    pulled = pull(account, sizes=ResponseSizes(row_caps={cap}))
    if pulled.error is None:
        assert pulled.complete_ids == set(account.rows)
    else:
        assert type(pulled.error) is RowCapReached


@settings(max_examples=150, deadline=None)
@given(seconds=SECONDS_OF_ROWS, end_inclusive=st.booleans())
def test_without_a_cap_only_a_second_that_is_alone_with_ten_rows_is_not_believed(
    seconds: list[int], end_inclusive: bool
) -> None:
    account = _build_account(seconds, end_inclusive=end_inclusive)
    pulled = pull(account, verify="always")
    assert pulled.kept_ids == set(account.rows)
    assert pulled.error is None or (len(seconds) >= 10 and max(seconds) - min(seconds) <= 1)


@settings(max_examples=150, deadline=None)
@given(
    seconds=_spread_out(),
    start=st.integers(0, SECONDS - 1),
    length=st.integers(1, 86_400),
    cap=st.sampled_from([None, 10, 50]),
)
def test_what_a_server_refuses_costs_only_what_lies_near_it(
    seconds: list[int], start: int, length: int, cap: int | None
) -> None:
    begin = WIDE.start + timedelta(seconds=start)
    end = min(WIDE.end, begin + timedelta(seconds=length))
    account = _build_account(seconds, cap=cap, refused=Window(begin, end))
    pulled = pull(account, verify="auto" if cap == 50 else "always")
    assert type(pulled.error) in (ServerFailed, RowCapReached)
    near = timedelta(minutes=57)
    assert {name for name, at in account.rows.items() if not begin - near <= at <= end + near} <= pulled.kept_ids
    # Of the refused day 26 parts and the widths above them, of the rest a tree down to a few rows each.
    assert len(account.asked) <= 26 + 13 + 60 + 2 * len(seconds) + 1
