"""Property tests of window pulls: all rows are returned or an error is raised, for any rows, row caps and failures."""

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from iplum_resource.errors import RowCapReached, ServerFailed
from iplum_resource.window import Window
from iplum_resource.window_pull import ResponseSizes
from tests.support.window_pulls import FakeApi, pull
from tests.support.window_requests import WIDE

SECONDS = int(WIDE.width.total_seconds())


def _build_spread_rows() -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, SECONDS - 1), max_size=120)


def _build_clustered_rows() -> st.SearchStrategy[list[int]]:
    """Rows in a few clusters, many of them within a minute or a second of each other."""
    cluster_starts = st.lists(st.integers(0, SECONDS - 200), min_size=1, max_size=4)
    offsets = st.tuples(st.integers(0, 3), st.sampled_from([0, 0, 0, 1, 2, 30, 59, 60, 61, 120]))
    return st.builds(
        lambda starts, rows: [starts[cluster % len(starts)] + offset for cluster, offset in rows],
        cluster_starts,
        st.lists(offsets, max_size=120),
    )


SECONDS_OF_ROWS = (
    _build_spread_rows()
    | _build_clustered_rows()
    | st.builds(lambda a, b: a + b, _build_spread_rows(), _build_clustered_rows())
)


def _build_api(seconds: list[int], **options: object) -> FakeApi:
    rows = {f"r-{number}": WIDE.start + timedelta(seconds=second) for number, second in enumerate(seconds)}
    return FakeApi(rows, **options)  # type: ignore[arg-type]


def _find_wrongly_complete(api: FakeApi, responses: list[tuple[Window, set[str]]]) -> list[Window]:
    """Find responses that were reported as complete but lack a row of their window."""
    return [window for window, ids in responses if not set(api.list_ids(window)) <= ids]


@settings(max_examples=300, deadline=None)
@given(
    seconds=SECONDS_OF_ROWS,
    cap=st.integers(10, 60),
    end_inclusive=st.booleans(),
    widest=st.sampled_from([None, timedelta(days=1), timedelta(hours=6)]),
    now=st.datetimes(datetime(2023, 12, 30), datetime(2024, 1, 8)),  # noqa: DTZ001 - made aware below
)
def test_a_pull_with_split_checks_returns_all_rows_or_raises_row_cap_reached(
    seconds: list[int], cap: int, end_inclusive: bool, widest: timedelta | None, now: datetime
) -> None:
    api = _build_api(seconds, cap=cap, end_inclusive=end_inclusive, widest=widest)
    pulled = pull(api, verify="always", now=now.replace(tzinfo=WIDE.start.tzinfo))
    if pulled.error is None:
        assert pulled.complete_ids == set(api.rows)
    else:
        assert type(pulled.error) is RowCapReached
    complete = [
        (a.response.window, {r["recordId"] for r in a.response.records if isinstance(r, dict)})
        for a in pulled.responses
        if a.complete
    ]
    assert _find_wrongly_complete(api, complete) == []


@settings(max_examples=150, deadline=None)
@given(seconds=SECONDS_OF_ROWS, cap=st.sampled_from([50, 100]), end_inclusive=st.booleans())
def test_a_round_row_cap_is_always_detected(seconds: list[int], cap: int, end_inclusive: bool) -> None:
    api = _build_api(seconds, cap=cap, end_inclusive=end_inclusive)
    pulled = pull(api)
    if pulled.error is None:
        assert pulled.complete_ids == set(api.rows)
    else:
        assert type(pulled.error) is RowCapReached


@settings(max_examples=150, deadline=None)
@given(seconds=SECONDS_OF_ROWS, cap=st.integers(10, 60), end_inclusive=st.booleans())
def test_a_known_row_cap_is_always_detected(seconds: list[int], cap: int, end_inclusive: bool) -> None:
    api = _build_api(seconds, cap=cap, end_inclusive=end_inclusive)
    pulled = pull(api, sizes=ResponseSizes(row_caps={cap}))
    if pulled.error is None:
        assert pulled.complete_ids == set(api.rows)
    else:
        assert type(pulled.error) is RowCapReached


@settings(max_examples=150, deadline=None)
@given(seconds=SECONDS_OF_ROWS, end_inclusive=st.booleans())
def test_without_a_row_cap_only_ten_rows_in_one_second_cannot_be_confirmed(
    seconds: list[int], end_inclusive: bool
) -> None:
    api = _build_api(seconds, end_inclusive=end_inclusive)
    pulled = pull(api, verify="always")
    assert pulled.received_ids == set(api.rows)
    assert pulled.error is None or (len(seconds) >= 10 and max(seconds) - min(seconds) <= 1)


@settings(max_examples=150, deadline=None)
@given(
    seconds=_build_spread_rows(),
    start=st.integers(0, SECONDS - 1),
    length=st.integers(1, 86_400),
    cap=st.sampled_from([None, 10, 50]),
)
def test_a_range_that_always_fails_loses_no_rows_far_from_it(
    seconds: list[int], start: int, length: int, cap: int | None
) -> None:
    begin = WIDE.start + timedelta(seconds=start)
    end = min(WIDE.end, begin + timedelta(seconds=length))
    api = _build_api(seconds, cap=cap, refused=Window(begin, end))
    pulled = pull(api, verify="auto" if cap == 50 else "always")
    assert type(pulled.error) in (ServerFailed, RowCapReached)
    margin = timedelta(minutes=57)
    assert {name for name, at in api.rows.items() if not begin - margin <= at <= end + margin} <= pulled.received_ids
    # 26 parts of the failing day, the wider windows above them, and a tree down to a few rows for the rest.
    assert len(api.requests) <= 26 + 13 + 60 + 2 * len(seconds) + 1
