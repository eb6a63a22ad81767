"""Windows that the server fails on: splitting, reuse of the width that worked, and ranges that always fail."""

import json
from collections import Counter
from datetime import date, datetime, timedelta

import pytest

from iplum_resource.errors import (
    BrokenJson,
    Forbidden,
    Interrupted,
    InvalidDate,
    IPlumError,
    RateLimited,
    ResponseTooLarge,
    ServerFailed,
    TimedOut,
    Unauthorized,
)
from iplum_resource.http.responses import WindowResponse
from iplum_resource.standin.server import Running
from iplum_resource.window import Window
from iplum_resource.window_pull import ResponseSizes
from tests.support.scripted_server import ScriptedServer, hang, respond
from tests.support.window_pulls import (
    LATER,
    FakeApi,
    build_response,
    ids_of,
    list_expected_ids,
    open_fetch,
    pull,
    spread_evenly,
)
from tests.support.window_requests import WIDE, Clock, build_client

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NEXT = Window(WIDE.end, WIDE.end + WIDE.width)
#: The narrowest part that repeated halving of five days produces: the first width of at most an hour.
NARROWEST = WIDE.width / 128


def _count_requests_by_width(standin: Running) -> Counter[timedelta]:

    widths: Counter[timedelta] = Counter()
    for request in standin.requests:
        assert request.body is not None
        start, end = (datetime.fromisoformat(request.body[name]) for name in ("StartDate", "EndDate"))
        widths[end - start] += 1
    return widths


def test_a_window_is_split_down_to_a_width_that_works_and_the_next_starts_there(standin: Running) -> None:
    sizes = ResponseSizes()
    with open_fetch(standin, fail_500_wider_than=16 * HOUR, now=lambda: LATER) as fetch:
        true_ids, next_ids = list_expected_ids(standin), list_expected_ids(standin, NEXT)
        pulled = pull(fetch, sizes=sizes)
        first_pull = len(standin.requests)
        again = pull(fetch, NEXT, sizes=sizes)
    assert (pulled.error, again.error) == (None, None)
    assert pulled.complete_ids == true_ids
    assert again.complete_ids == next_ids
    assert {response.reason for response in pulled.responses} == {"split"}
    # Three widths from 5 days to 30 hours fail three times each. The next pull starts at the width that works.
    assert sizes.widest_that_worked == WIDE.width / 8
    assert first_pull == 3 * 3 + 8
    assert len(standin.requests) == first_pull + 8


def test_a_window_is_not_split_into_parts_of_less_than_an_hour(standin: Running) -> None:
    clock = Clock()
    with open_fetch(standin, clock, fail_500_wider_than=timedelta(minutes=1), now=lambda: LATER) as fetch:
        pulled = pull(fetch)
    assert isinstance(pulled.error, ServerFailed)
    assert pulled.responses == []
    # Seven widths get three attempts. The eighth, and then one hour at the other end, get 8 attempts each.
    widths = _count_requests_by_width(standin)
    assert widths == {**{WIDE.width / 2**step: 3 for step in range(7)}, NARROWEST: 8, HOUR: 8}


def test_a_window_of_one_hour_gets_eight_attempts(standin: Running) -> None:
    hour = Window(WIDE.start, WIDE.start + HOUR)
    with open_fetch(standin, fail_500_first=20, now=lambda: LATER) as fetch:
        pulled = pull(fetch, hour)
    assert isinstance(pulled.error, ServerFailed)
    assert len(standin.requests) == 8


def test_a_temporary_failure_does_not_split_the_window(standin: Running) -> None:
    with open_fetch(standin, fail_500_first=2, now=lambda: LATER) as fetch:
        true_ids = list_expected_ids(standin)
        pulled = pull(fetch)
    assert pulled.complete_windows == [WIDE]
    assert pulled.complete_ids == true_ids


def test_a_first_day_that_always_fails_does_not_prevent_the_pull_of_the_others(standin: Running) -> None:
    """Treating the failure as an outage would skip the four days after it."""
    with open_fetch(standin, fail_500_days=frozenset({date(2024, 1, 1)}), now=lambda: LATER) as fetch:
        working = Window(WIDE.start + DAY + NARROWEST, WIDE.end)
        true_ids = list_expected_ids(standin, working)
        pulled = pull(fetch)
    assert isinstance(pulled.error, ServerFailed)
    assert len(true_ids) > 100
    assert pulled.complete_ids >= true_ids
    # 26 parts overlap the failing day, with 8 attempts each. After half of them the other end is probed.
    widths = _count_requests_by_width(standin)
    assert widths[NARROWEST] <= 26 * 8 + 2
    assert widths[HOUR] <= 13
    assert len(standin.requests) <= 26 * 8 + 13 + 40 * 3


@pytest.mark.parametrize("number", range(5))
def test_any_day_that_always_fails_does_not_prevent_the_pull_of_the_others(number: int) -> None:
    failing = Window(WIDE.start + number * DAY, WIDE.start + (number + 1) * DAY)
    api = FakeApi(spread_evenly(500), refused=failing)
    pulled = pull(api)
    assert isinstance(pulled.error, ServerFailed)
    working = {
        name for name, start in api.rows.items() if not failing.start - NARROWEST <= start <= failing.end + NARROWEST
    }
    assert working <= pulled.complete_ids
    assert len(working) > 390
    assert len(api.requests) <= 26 + 13 + 60


def test_a_failing_day_does_not_narrow_later_windows() -> None:
    for number in range(5):
        failing = Window(WIDE.start + number * DAY, WIDE.start + (number + 1) * DAY)
        api, sizes = FakeApi(spread_evenly(20, window=NEXT), refused=failing), ResponseSizes()
        assert isinstance(pull(api, sizes=sizes).error, ServerFailed)
        api.requests.clear()
        assert pull(api, NEXT, sizes=sizes).complete_windows == [NEXT]
        assert api.requests == [NEXT]


def test_an_outage_during_a_pull_stops_it_after_few_requests() -> None:
    api = FakeApi(spread_evenly(500), widest=6 * HOUR)
    requests_before_outage = 12

    def fetch(window: Window) -> WindowResponse:
        if len(api.requests) >= requests_before_outage:
            api.requests.append(window)
            raise ServerFailed(str(window), 503)
        return api(window)

    pulled = pull(fetch)
    assert isinstance(pulled.error, ServerFailed)
    assert len(pulled.complete_ids) > 0
    # Down to the narrowest width, one more part of that width, and the far end.
    assert len(api.requests) - requests_before_outage <= 8


def test_a_confirmed_part_is_complete_although_another_part_failed() -> None:
    """A suspicious count of 50 rows in the first half, and a failing hour in the second."""
    early = WIDE.halves()[0]
    failing = Window(WIDE.end - DAY, WIDE.end - DAY + HOUR)
    api = FakeApi(spread_evenly(50, window=early), refused=failing)
    pulled = pull(api)
    assert isinstance(pulled.error, ServerFailed)
    assert early in pulled.complete_windows
    assert pulled.complete_ids == set(api.rows)


def test_a_window_is_confirmed_by_quarters_if_its_halves_fail() -> None:
    """The window's own request succeeded, so failures of its halves are temporary and must not fail the pull."""
    api, failed = FakeApi(spread_evenly(150), cap=50), []

    def fetch(window: Window) -> WindowResponse:
        if window.width == WIDE.width / 2:
            failed.append(window)
            raise TimedOut(str(window))
        return api(window)

    pulled = pull(fetch)
    assert failed == list(WIDE.halves())
    assert pulled.error is None
    assert pulled.complete_ids == set(api.rows)


def test_a_window_that_times_out_is_split() -> None:
    early, late = ([{"recordId": name}] for name in ("early", "late"))
    steps = [hang, hang, hang, respond(200, json.dumps(early).encode()), respond(200, json.dumps(late).encode())]
    with ScriptedServer(*steps) as server, build_client(server.url, read_timeout=0.1) as client:
        pulled = pull(lambda window: client.fetch_usage(window, ["fax"]))
    assert pulled.error is None
    assert pulled.complete_windows == list(WIDE.halves())
    assert pulled.complete_ids == {"early", "late"}
    assert len(server.received) == 5


def test_a_window_with_a_response_over_the_maximum_size_is_split(standin: Running) -> None:
    with open_fetch(standin, client={"max_body_bytes": 16_000}, now=lambda: LATER) as fetch:
        true_ids = list_expected_ids(standin)
        pulled = pull(fetch)
    assert pulled.error is None
    assert pulled.complete_ids == true_ids
    assert all(len(response.response.body) <= 16_000 for response in pulled.responses)
    # The response has about 60 KB. Each width that is too large gets one attempt.
    assert len(standin.requests) <= 1 + 2 + 4 + 8 + 8


def test_a_row_on_the_boundary_of_two_parts_counts_once() -> None:
    middle = WIDE.halves()[1].start
    api = FakeApi({"edge": middle, **spread_evenly(8)}, widest=3 * DAY)
    pulled = pull(api)
    assert pulled.complete_ids == set(api.rows)
    assert sum("edge" in ids_of(response.response) for response in pulled.responses) == 2


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("R"),
        Interrupted("R"),
        BrokenJson("R"),
        InvalidDate("R", "ERR_INVALID_DATE"),
        Unauthorized("R"),
        Forbidden("R"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_that_a_narrower_window_cannot_avoid_are_raised_at_once(error: IPlumError) -> None:
    requested = []

    def fetch(window: Window) -> WindowResponse:
        requested.append(window)
        raise error

    assert pull(fetch).error is error
    assert requested == [WIDE]


@pytest.mark.parametrize("error", [ServerFailed("R", 500), TimedOut("R"), ResponseTooLarge("R")])
def test_a_failing_window_of_one_hour_is_not_split(error: IPlumError) -> None:
    requested = []

    def fetch(window: Window) -> WindowResponse:
        requested.append(window)
        raise error

    hour = Window(WIDE.start, WIDE.start + HOUR)
    assert pull(fetch, hour).error is error
    assert requested == [hour]


def test_the_widest_width_that_worked_is_stored() -> None:
    sizes = ResponseSizes()
    for width in (2 * HOUR, 6 * HOUR, HOUR):
        sizes.add_width(width)
    assert sizes.widest_that_worked == 6 * HOUR


def test_a_known_width_under_an_hour_does_not_split_an_hour() -> None:
    requested = []

    def fetch(window: Window) -> WindowResponse:
        requested.append(window)
        return build_response(window, [])

    sizes = ResponseSizes(widest_that_worked=timedelta(minutes=56))
    hour = Window(WIDE.start, WIDE.start + HOUR)
    assert pull(fetch, hour, sizes=sizes).error is None
    assert requested == [hour]
