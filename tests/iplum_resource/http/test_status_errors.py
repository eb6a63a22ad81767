"""HTTP status codes and the errors raised for them, over real sockets."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from iplum_resource.errors import (
    Forbidden,
    InvalidDate,
    InvalidRequest,
    IPlumError,
    RateLimited,
    ServerFailed,
    TimedOut,
    Unauthorized,
    UnreadableResponse,
    WrongAddress,
    WrongClock,
)
from iplum_resource.limits.rate_limiter import RateLimiter
from iplum_resource.signing import sign
from tests.support.scripted_server import ScriptedServer, Step, respond
from tests.support.window_requests import CREDENTIALS, NARROW, RECORDS, WIDE, Clock, build_client

TYPES = ["fax"]


def _fail(step: Step, clock: Clock | None = None) -> tuple[IPlumError, int]:
    """Return the error of a usage request for a wide window, and the number of requests sent."""
    with ScriptedServer(step) as server, build_client(server.url, clock) as client, pytest.raises(IPlumError) as caught:
        client.fetch_usage(WIDE, TYPES)
    return caught.value, len(server.received)


@pytest.mark.parametrize(
    ("status", "kind", "requests"),
    [
        (400, InvalidRequest, 1),
        (401, Unauthorized, 1),
        (402, InvalidRequest, 1),
        (403, Forbidden, 1),
        (404, WrongAddress, 1),
        (405, WrongAddress, 1),
        (406, WrongAddress, 1),
        (408, TimedOut, 3),
        (429, RateLimited, 8),
        (500, ServerFailed, 3),
        (503, ServerFailed, 3),
        (204, UnreadableResponse, 1),
        (600, UnreadableResponse, 1),
    ],
)
def test_each_status_raises_its_error_after_its_number_of_requests(
    status: int, kind: type[IPlumError], requests: int
) -> None:
    error, sent = _fail(respond(status))
    assert type(error) is kind
    assert sent == requests
    assert str(error).startswith(f"POST /usage/getusage for {WIDE}: ")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with ScriptedServer(respond(200, b"[]")) as target:
        error, sent = _fail(respond(status, b"CANARY", {"Location": target.url}))
        assert type(error) is WrongAddress
        assert sent == 1
        assert target.received == []


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b'{"errorCode": "ERR_INVALID_DATE", "errorDescription": "CANARY"}', InvalidDate, "ERR_INVALID_DATE"),
        (b'{"errorCode": "ERR_INVALID_REQUEST"}', InvalidRequest, "ERR_INVALID_REQUEST"),
        (b'{"errorCode": "CANARY +14085550123"}', InvalidRequest, None),
        (b'{"errorCode": 7}', InvalidRequest, None),
        (b'["CANARY"]', InvalidRequest, None),
        (b"<html>CANARY", InvalidRequest, None),
        (b"", InvalidRequest, None),
        (b"[" * 100_000, InvalidRequest, None),
    ],
)
def test_a_bad_request_error_carries_the_vendors_error_code_and_no_other_text(
    body: bytes, kind: type[InvalidRequest], code: str | None
) -> None:
    error, sent = _fail(respond(400, body))
    assert isinstance(error, InvalidRequest)
    assert (type(error), error.error_code, sent) == (kind, code, 1)
    assert "CANARY" not in str(error)


@pytest.mark.parametrize(
    ("offset", "kind"),
    [
        (timedelta(hours=1), WrongClock),
        (timedelta(hours=-1), WrongClock),
        (timedelta(minutes=2), Unauthorized),
        (timedelta(0), Unauthorized),
    ],
)
def test_a_wrong_clock_is_distinguished_from_a_wrong_key(offset: timedelta, kind: type[Unauthorized]) -> None:
    clock = Clock()
    sent_at = format_datetime(clock.now() + offset, usegmt=True)
    error, _ = _fail(respond(401, headers={"Date": sent_at}), clock)
    assert type(error) is kind
    if isinstance(error, WrongClock):
        assert error.offset == -offset
        assert "3600 s" in str(error)


@pytest.mark.parametrize("date", ["", "nonsense", "Sun, 99 Feb 2026 25:00:00 GMT", "Thu, 01 Jan 2099 00:00:00"])
def test_a_401_with_an_unreadable_date_header_is_unauthorized(date: str) -> None:
    error, _ = _fail(respond(401, headers={"Date": date}))
    assert isinstance(error, Unauthorized)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, 0.5),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "7.5"}, 7.5),
        ({"Retry-After": "0"}, 0.5),
        ({"Retry-After": "-3"}, 0.5),
        ({"Retry-After": "soon"}, 0.5),
        ({"Retry-After": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30),
        ({"Retry-After": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.5),
        # The server's clock is an hour ahead. Relative to its own Date header, the wait is 30 s.
        ({"Retry-After": "Sun, 01 Mar 2026 13:00:30 GMT", "Date": "Sun, 01 Mar 2026 13:00:00 GMT"}, 30),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honored(status: int, headers: Mapping[str, str], wait: float) -> None:
    clock = Clock()
    with (
        ScriptedServer(respond(status, headers=headers), respond(200, RECORDS)) as server,
        build_client(server.url, clock) as client,
    ):
        assert client.fetch_usage(WIDE, TYPES).body == RECORDS
    assert clock.slept == [pytest.approx(wait)]


@pytest.mark.parametrize("retry_after", ["901", "9" * 300, "Sun, 01 Mar 2026 12:15:01 GMT"])
def test_a_retry_after_of_more_than_15_minutes_is_not_waited_for_and_is_in_the_error(retry_after: str) -> None:
    clock = Clock()
    error, sent = _fail(respond(429, headers={"Retry-After": retry_after}), clock)
    assert isinstance(error, RateLimited)
    assert error.retry_at is not None
    assert error.retry_at > datetime(2026, 3, 1, 12, 15, tzinfo=UTC)
    assert f"{error.retry_at:%Y-%m-%dT%H:%M}" in str(error)
    assert (sent, clock.slept) == (1, [])


def test_a_429_lowers_the_rate() -> None:
    limiter = RateLimiter(1_000_000)
    with (
        ScriptedServer(respond(429), respond(200, RECORDS)) as server,
        build_client(server.url, limiter=limiter) as client,
    ):
        client.fetch_usage(WIDE, TYPES)
    assert limiter.requests_per_second == pytest.approx(520_000)


def test_a_one_hour_window_and_a_content_request_get_eight_attempts() -> None:
    with ScriptedServer(respond(500)) as server, build_client(server.url) as client:
        for fetch in (lambda: client.fetch_usage(NARROW, TYPES), lambda: client.fetch_content("r-1")):
            server.received.clear()
            with pytest.raises(ServerFailed):
                fetch()
            assert len(server.received) == 8


def test_every_attempt_has_its_own_time_and_signature() -> None:
    clock = Clock()
    steps = [respond(500), respond(500), respond(429, headers={"Retry-After": "5"}), respond(200, RECORDS)]
    with ScriptedServer(*steps) as server, build_client(server.url, clock, random=lambda: 2.0) as client:
        response = client.fetch_usage(WIDE, TYPES)
    epochs = [request.headers["x-iplumauth-epochdatetime"] for request in server.received]
    started = int(clock.now().timestamp() - sum(clock.slept))
    assert epochs == [str(started), str(started + 1), str(started + 3), str(started + 8)]
    keys = CREDENTIALS.secret_key, CREDENTIALS.access_key, CREDENTIALS.login_id.lower(), "v1"
    assert [request.headers["authorization"] for request in server.received] == [
        f"iPlumAuth {sign(*keys, epoch, '/usage/getusage')}" for epoch in epochs
    ]
    assert response.requested_at == clock.now()
