"""Windows that the server fails on: split, with the width remembered, and skipped where nothing helps."""

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
from tests.support.window_pulls import LATER, Account, asking, build_response, ids_of, list_true_ids, pull, spread
from tests.support.window_requests import WIDE, Clock, build_client

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NEXT = Window(WIDE.end, WIDE.end + WIDE.width)
#: The parts of five days that halving leaves: the first no wider than an hour are the 128th parts.
FINEST = WIDE.width / 128


def _count_attempts(standin: Running) -> Counter[timedelta]:
    """Count the requests of each width."""
    widths: Counter[timedelta] = Counter()
    for request in standin.requests:
        assert request.body is not None
        start, end = (datetime.fromisoformat(request.body[name]) for name in ("StartDate", "EndDate"))
        widths[end - start] += 1
    return widths


def test_a_server_that_fails_on_wide_windows_is_asked_for_narrow_ones(standin: Running) -> None:
    sizes = ResponseSizes()
    with asking(standin, fail_500_wider_than=16 * HOUR, now=lambda: LATER) as fetch:
        true_ids, next_ids = list_true_ids(standin), list_true_ids(standin, NEXT)
        pulled = pull(fetch, sizes=sizes)
        first_time = len(standin.requests)
        again = pull(fetch, NEXT, sizes=sizes)
    assert (pulled.error, again.error) == (None, None)
    assert pulled.complete_ids == true_ids
    assert again.complete_ids == next_ids
    assert {response.reason for response in pulled.responses} == {"split"}
    # Three widths from 5 days to 30 hours fail thrice each; then the width that works is asked for at once.
    assert sizes.widest_that_worked == WIDE.width / 8
    assert first_time == 3 * 3 + 8
    assert len(standin.requests) == first_time + 8


def test_a_window_is_not_split_below_an_hour(standin: Running) -> None:
    clock = Clock()
    with asking(standin, clock, fail_500_wider_than=timedelta(minutes=1), now=lambda: LATER) as fetch:
        pulled = pull(fetch)
    assert isinstance(pulled.error, ServerFailed)
    assert pulled.responses == []
    # Seven widths are tried thrice, the eighth and then an hour at the other end 8 times each: nothing works.
    widths = _count_attempts(standin)
    assert widths == {**{WIDE.width / 2**step: 3 for step in range(7)}, FINEST: 8, HOUR: 8}


def test_an_hour_alone_is_tried_eight_times(standin: Running) -> None:
    hour = Window(WIDE.start, WIDE.start + HOUR)
    with asking(standin, fail_500_first=20, now=lambda: LATER) as fetch:
        pulled = pull(fetch, hour)
    assert isinstance(pulled.error, ServerFailed)
    assert len(standin.requests) == 8


def test_a_failure_that_passes_splits_nothing(standin: Running) -> None:
    with asking(standin, fail_500_first=2, now=lambda: LATER) as fetch:
        true_ids = list_true_ids(standin)
        pulled = pull(fetch)
    assert pulled.complete_windows == [WIDE]
    assert pulled.complete_ids == true_ids


def test_a_day_that_always_fails_does_not_hold_up_the_others(standin: Running) -> None:
    """It is the first day. Treating it as an outage would skip the four days after it."""
    with asking(standin, fail_500_days=frozenset({date(2024, 1, 1)}), now=lambda: LATER) as fetch:
        sound = Window(WIDE.start + DAY + FINEST, WIDE.end)
        true_ids = list_true_ids(standin, sound)
        pulled = pull(fetch)
    assert isinstance(pulled.error, ServerFailed)
    assert len(true_ids) > 100
    assert pulled.complete_ids >= true_ids
    # 26 parts touch the bad day, each tried 8 times; half of them are followed by a look at the other end.
    widths = _count_attempts(standin)
    assert widths[FINEST] <= 26 * 8 + 2
    assert widths[HOUR] <= 13
    assert len(standin.requests) <= 26 * 8 + 13 + 40 * 3


@pytest.mark.parametrize("number", range(5))
def test_whichever_day_it_is_that_fails(number: int) -> None:
    bad = Window(WIDE.start + number * DAY, WIDE.start + (number + 1) * DAY)
    account = Account(spread(500), refused=bad)
    pulled = pull(account)
    assert isinstance(pulled.error, ServerFailed)
    sound = {name for name, start in account.rows.items() if not bad.start - FINEST <= start <= bad.end + FINEST}
    assert sound <= pulled.complete_ids
    assert len(sound) > 390
    assert len(account.asked) <= 26 + 13 + 60


def test_a_day_that_fails_does_not_make_the_other_windows_narrower() -> None:
    for number in range(5):
        bad = Window(WIDE.start + number * DAY, WIDE.start + (number + 1) * DAY)
        account, sizes = Account(spread(20, window=NEXT), refused=bad), ResponseSizes()
        assert isinstance(pull(account, sizes=sizes).error, ServerFailed)
        account.asked.clear()
        assert pull(account, NEXT, sizes=sizes).complete_windows == [NEXT]
        assert account.asked == [NEXT]


def test_an_outage_in_the_middle_of_a_window_ends_it_soon() -> None:
    account = Account(spread(500), widest=6 * HOUR)
    asked_when_it_began = 12

    def fetch(window: Window) -> WindowResponse:
        if len(account.asked) >= asked_when_it_began:
            account.asked.append(window)
            raise ServerFailed(str(window), 503)
        return account(window)

    pulled = pull(fetch)
    assert isinstance(pulled.error, ServerFailed)
    assert len(pulled.complete_ids) > 0
    # Down to the finest width, one more part of that, and the far end; then nothing more.
    assert len(account.asked) - asked_when_it_began <= 8


def test_a_part_that_was_proven_counts_as_complete_although_another_failed() -> None:
    """50 rows in the first half of the window, where they are doubted, and a stretch that fails in the second."""
    early = WIDE.halves()[0]
    bad = Window(WIDE.end - DAY, WIDE.end - DAY + HOUR)
    account = Account(spread(50, window=early), refused=bad)
    pulled = pull(account)
    assert isinstance(pulled.error, ServerFailed)
    assert early in pulled.complete_windows
    assert pulled.complete_ids == set(account.rows)


def test_a_half_that_fails_is_proven_in_quarters() -> None:
    """The whole came, so its halves can fail by bad luck alone; that must not cost the window."""
    account, failed = Account(spread(150), cap=50), []

    def fetch(window: Window) -> WindowResponse:
        if window.width == WIDE.width / 2:
            failed.append(window)
            raise TimedOut(str(window))
        return account(window)

    pulled = pull(fetch)
    assert failed == list(WIDE.halves())
    assert pulled.error is None
    assert pulled.complete_ids == set(account.rows)


def test_a_window_that_times_out_is_split() -> None:
    early, late = ([{"recordId": name}] for name in ("early", "late"))
    steps = [hang, hang, hang, respond(200, json.dumps(early).encode()), respond(200, json.dumps(late).encode())]
    with ScriptedServer(*steps) as server, build_client(server.url, read_timeout=0.1) as client:
        pulled = pull(lambda window: client.fetch_usage(window, ["fax"]))
    assert pulled.error is None
    assert pulled.complete_windows == list(WIDE.halves())
    assert pulled.complete_ids == {"early", "late"}
    assert len(server.received) == 5


def test_an_answer_that_is_too_large_is_asked_for_in_parts(standin: Running) -> None:
    with asking(standin, client={"max_body_bytes": 16_000}, now=lambda: LATER) as fetch:
        true_ids = list_true_ids(standin)
        pulled = pull(fetch)
    assert pulled.error is None
    assert pulled.complete_ids == true_ids
    assert all(len(response.response.body) <= 16_000 for response in pulled.responses)
    # Some 60 KB: each width that is too large is tried once.
    assert len(standin.requests) <= 1 + 2 + 4 + 8 + 8


def test_a_row_on_the_edge_of_two_parts_comes_with_both_and_counts_once() -> None:
    middle = WIDE.halves()[1].start
    account = Account({"edge": middle, **spread(8)}, widest=3 * DAY)
    pulled = pull(account)
    assert pulled.complete_ids == set(account.rows)
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
def test_what_a_narrower_window_does_not_help_is_raised_at_once(error: IPlumError) -> None:
    asked = []

    def fetch(window: Window) -> WindowResponse:
        asked.append(window)
        raise error

    assert pull(fetch).error is error
    assert asked == [WIDE]


@pytest.mark.parametrize("error", [ServerFailed("R", 500), TimedOut("R"), ResponseTooLarge("R")])
def test_an_hour_that_is_too_much_goes_no_further(error: IPlumError) -> None:
    asked = []

    def fetch(window: Window) -> WindowResponse:
        asked.append(window)
        raise error

    hour = Window(WIDE.start, WIDE.start + HOUR)
    assert pull(fetch, hour).error is error
    assert asked == [hour]


def test_the_width_that_worked_is_the_widest_there_was() -> None:
    sizes = ResponseSizes()
    for width in (2 * HOUR, 6 * HOUR, HOUR):
        sizes.add_width(width)
    assert sizes.widest_that_worked == 6 * HOUR


def test_a_known_width_under_an_hour_does_not_split_an_hour() -> None:
    asked = []

    def fetch(window: Window) -> WindowResponse:
        asked.append(window)
        return build_response(window, [])

    sizes = ResponseSizes(widest_that_worked=timedelta(minutes=56))
    hour = Window(WIDE.start, WIDE.start + HOUR)
    assert pull(fetch, hour, sizes=sizes).error is None
    assert asked == [hour]
