"""The retry policy, without sockets. `test_transport` and `test_status_errors` test it over real sockets."""

import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest

from iplum_resource.errors import (
    BadCertificate,
    BrokenJson,
    Forbidden,
    Interrupted,
    InvalidRequest,
    IPlumError,
    RateLimited,
    ResponseTooLarge,
    ServerFailed,
    TimedOut,
    TlsFailed,
    Unauthorized,
    Unreachable,
    UnreadableResponse,
    WrongAddress,
)
from iplum_resource.http.retry import RetryPolicy, max_attempts
from iplum_resource.window import Window
from tests.support.window_requests import NARROW, WIDE, Clock

R = "POST /usage/getusage"


def _count_attempts(errors: Iterator[IPlumError], clock: Clock, *, attempts_500: int = 3, is_over: bool = False) -> int:
    """Return the number of attempts until one succeeds or the policy gives up."""
    attempts = 0

    def attempt() -> None:
        nonlocal attempts
        attempts += 1
        error = next(errors, None)
        if error is not None:
            raise error

    retries = RetryPolicy(attempts_500, lambda: is_over, clock.now, lambda: 1.0)
    try:
        retries.build_loop(clock.sleep)(attempt)
    except IPlumError:
        return attempts
    return attempts


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (RateLimited(R), 8),
        (Interrupted(R), 8),
        (BrokenJson(R), 8),
        (ServerFailed(R, 500), 3),
        (TimedOut(R), 3),
        (Unreachable(R), 3),
        (TlsFailed(R), 3),
        (BadCertificate(R), 1),
        (Unauthorized(R), 1),
        (Forbidden(R), 1),
        (WrongAddress(R), 1),
        (InvalidRequest(R, None), 1),
        (UnreadableResponse(R), 1),
        (ResponseTooLarge(R), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, IPlumError) else str(value),
)
def test_each_error_has_its_number_of_attempts(error: IPlumError, attempts: int) -> None:
    clock = Clock()
    assert _count_attempts(iter([error] * 20), clock) == attempts
    assert len(clock.slept) == attempts - 1


def test_waits_double_up_to_ten_seconds() -> None:
    clock = Clock()
    _count_attempts(iter([Interrupted(R)] * 20), clock)
    assert clock.slept == [0.5, 1, 2, 4, 8, 10, 10]


def test_waits_are_jittered_down_to_zero() -> None:
    clock = Clock()
    retries = RetryPolicy(8, lambda: False, clock.now, iter([0.5, 0.0, 0.25]).__next__)
    errors = iter([Interrupted(R)] * 3)

    def attempt() -> str:
        for error in errors:
            raise error
        return "done"

    assert retries.build_loop(clock.sleep)(attempt) == "done"
    assert clock.slept == [0.25, 0, 0.5]


def test_errors_of_one_kind_do_not_use_up_the_attempts_of_another() -> None:
    mixed = [RateLimited(R), Interrupted(R), RateLimited(R), ServerFailed(R, 500), TimedOut(R)]
    assert _count_attempts(iter(mixed), Clock()) == 6
    assert _count_attempts(iter([*mixed, ServerFailed(R, 500), RateLimited(R)]), Clock()) == 6


def test_attempts_of_all_errors_together_are_at_most_eight() -> None:
    mixed = [Unreachable(R), RateLimited(R), ServerFailed(R, 500)] * 5
    assert _count_attempts(iter(mixed), Clock(), attempts_500=8) <= 8


def test_the_client_waits_until_the_retry_at_time() -> None:
    clock = Clock()
    assert _count_attempts(iter([RateLimited(R, clock.now() + timedelta(minutes=15))]), clock) == 2
    assert clock.slept == [900]


@pytest.mark.parametrize("kind", [RateLimited, lambda r, at: ServerFailed(r, 503, at)])
def test_a_retry_at_time_more_than_15_minutes_ahead_raises_the_error_at_once(kind: type[RateLimited]) -> None:
    clock = Clock()
    assert _count_attempts(iter([kind(R, clock.now() + timedelta(minutes=15, seconds=1))]), clock) == 1
    assert clock.slept == []


def test_a_retry_at_time_in_the_past_falls_back_to_the_backoff() -> None:
    clock = Clock()
    _count_attempts(iter([RateLimited(R, clock.now() - timedelta(hours=1))]), clock)
    assert clock.slept == [0.5]


def test_no_request_is_retried_after_the_run_is_over() -> None:
    assert _count_attempts(iter([Interrupted(R)] * 3), Clock(), is_over=True) == 1


@pytest.mark.parametrize(
    ("window", "attempts"),
    [(WIDE, 3), (Window(NARROW.start, NARROW.end + timedelta(seconds=1)), 3), (NARROW, 8), (None, 8)],
)
def test_a_window_wider_than_an_hour_gets_three_attempts_and_other_requests_eight(
    window: Window | None, attempts: int
) -> None:
    assert max_attempts(window) == attempts


def test_each_wait_is_logged_with_request_and_reason(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "iplum_resource"):
        _count_attempts(iter([ServerFailed(f"{R} for {NARROW}", 502)]), Clock())
    assert caplog.messages == [
        f"POST /usage/getusage for {NARROW}: iPlum's server failed (HTTP 502); attempt 1, next in 0.5 s"
    ]
