"""Faults of the stand-in: frequency, scope and effect of each."""

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from iplum_resource.standin.options import Options
from iplum_resource.standin.server import Running, running
from tests.iplum_resource.standin.test_signing import (
    CONTENT,
    RECORDING_FILE,
    RECORDINGS,
    USAGE,
    WINDOW,
    build_headers,
    call,
)

BODY = {"Usage": "externalcall", **WINDOW}
QUIET_NOW = datetime(2024, 3, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(Options()) as standin:
        yield standin


@pytest.fixture
def standin(server: Running) -> Running:
    server.options = Options()
    server.requests.clear()
    return server


def statuses(standin: Running, count: int, *, path: str = USAGE) -> list[int]:
    return [call(standin, path, BODY).status_code for _ in range(count)]


def ask_raw(standin: Running) -> http.client.HTTPResponse:
    """Send a request through a plain socket, below requests and urllib3, and return the received bytes."""
    connection = http.client.HTTPConnection(standin.media_host, timeout=20)
    try:
        headers = build_headers(standin.options, USAGE)
        connection.request("POST", USAGE, json.dumps(BODY), headers)
        return connection.getresponse()
    finally:
        connection.close()


def test_the_first_so_many_answer_429(standin: Running) -> None:
    standin.options = Options(fail_429_first=2)
    assert statuses(standin, 4) == [429, 429, 200, 200]
    assert [request.status for request in standin.requests] == [429, 429, 200, 200]
    assert "Retry-After" not in call(standin, USAGE, BODY).headers


def test_retry_after_in_seconds(standin: Running) -> None:
    standin.options = Options(fail_429_first=1, retry_after="seconds")
    assert call(standin, USAGE, BODY).headers["Retry-After"] == "1"


def test_retry_after_as_a_date_of_the_servers_clock(standin: Running) -> None:
    moment = datetime(2024, 3, 20, 12, tzinfo=UTC)
    standin.options = Options(fail_429_first=1, retry_after="date", clock=lambda: moment)
    headers = build_headers(standin.options, USAGE, epoch=str(int(moment.timestamp())))
    answer = call(standin, USAGE, BODY, headers=headers)
    assert parsedate_to_datetime(answer.headers["Retry-After"]) == moment + timedelta(seconds=1)


def test_a_rate_limit_slides(standin: Running) -> None:
    standin.options = Options(rate_limit=3, retry_after="seconds")
    start = time.monotonic()
    answered = statuses(standin, 6)
    if time.monotonic() - start < 1:
        assert answered == [200, 200, 200, 429, 429, 429]
    time.sleep(1.05)
    assert call(standin, USAGE, BODY).status_code == 200


def test_a_rate_limit_below_one_a_second(standin: Running) -> None:
    standin.options = Options(rate_limit=0.1, retry_after="seconds")
    assert call(standin, USAGE, BODY).status_code == 200
    refused = call(standin, USAGE, BODY)
    assert refused.status_code == 429
    assert 5 <= int(refused.headers["Retry-After"]) <= 10


def test_the_first_so_many_answer_500_in_the_documents_model(standin: Running) -> None:
    standin.options = Options(fail_500_first=1)
    answer = call(standin, RECORDINGS, WINDOW)
    assert answer.status_code == 500
    assert set(answer.json()) == {"errorCode", "errorDescription"}
    assert statuses(standin, 2) == [200, 200]


def test_a_share_of_500_is_the_same_every_time(standin: Running) -> None:
    standin.options = Options(fail_500=0.5, seed=3)
    first = statuses(standin, 24)
    assert set(first) == {200, 500}
    standin.options = Options(fail_500=0.5, seed=3)
    assert statuses(standin, 24) == first
    standin.options = Options(fail_500=0.5, seed=4)
    assert statuses(standin, 24) != first


@pytest.mark.parametrize("path", [USAGE, RECORDINGS])
@pytest.mark.parametrize(
    ("start", "end", "status"),
    [
        ("2024-03-11 00:00:00.000", "2024-03-16 00:00:00.000", 500),
        ("2024-03-13 23:59:00.000", "2024-03-15 00:00:00.000", 500),
        ("2024-03-13 10:00:00.000", "2024-03-13 11:00:00.000", 500),
        ("2024-03-12 00:00:00.000", "2024-03-13 00:00:00.000", 200),
        ("2024-03-14 00:00:00.000", "2024-03-15 00:00:00.000", 200),
    ],
)
def test_a_day_can_be_broken(standin: Running, path: str, start: str, end: str, status: int) -> None:
    standin.options = Options(fail_500_days=frozenset({date(2024, 3, 13)}))
    body = {"Usage": "fax", "StartDate": start, "EndDate": end}
    assert call(standin, path, body).status_code == status


@pytest.mark.parametrize("path", [USAGE, RECORDINGS])
def test_a_wide_window_can_be_too_much(standin: Running, path: str) -> None:
    standin.options = Options(fail_500_wider_than=timedelta(hours=6))
    body = {"Usage": "fax", "StartDate": "2024-03-11 00:00:00.000", "EndDate": "2024-03-11 06:00:00.000"}
    assert call(standin, path, body).status_code == 200
    assert call(standin, path, body | {"EndDate": "2024-03-11 06:00:00.001"}).status_code == 500


def test_a_reset_reaches_the_client_as_one(standin: Running) -> None:
    standin.options = Options(reset_first=2)
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            ask_raw(standin)
    assert ask_raw(standin).status == 200
    assert [request.status for request in standin.requests] == [None, None, 200]


def test_a_reset_is_a_connection_error_to_requests(standin: Running) -> None:
    standin.options = Options(reset_first=1)
    with pytest.raises(requests.ConnectionError):
        call(standin, USAGE, BODY)
    assert standin.requests[0].body == BODY


def test_a_share_of_resets(standin: Running) -> None:
    standin.options = Options(reset=1)
    for path in (USAGE, RECORDINGS, CONTENT, RECORDING_FILE):
        with pytest.raises(requests.ConnectionError):
            call(standin, path, BODY)


def test_a_cut_body_is_shorter_than_announced(standin: Running) -> None:
    whole = call(standin, USAGE, BODY).content
    standin.options = Options(cut_first=1)
    connection = http.client.HTTPConnection(standin.media_host, timeout=20)
    try:
        connection.request("POST", USAGE, json.dumps(BODY), build_headers(standin.options, USAGE))
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.getheader("Content-Length") == str(len(whole))
        with pytest.raises(http.client.IncompleteRead) as caught:
            answer.read()
    finally:
        connection.close()
    assert caught.value.partial == whole[: len(whole) // 2]
    assert call(standin, USAGE, BODY).content == whole


def test_a_cut_body_without_a_length_lacks_its_last_chunk(standin: Running) -> None:
    standin.options = Options(cut_chunked_first=1)
    connection = http.client.HTTPConnection(standin.media_host, timeout=20)
    try:
        connection.request("POST", USAGE, json.dumps(BODY), build_headers(standin.options, USAGE))
        answer = connection.getresponse()
        assert answer.getheader("Content-Length") is None
        assert answer.getheader("Transfer-Encoding") == "chunked"
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
    finally:
        connection.close()
    assert call(standin, USAGE, BODY).status_code == 200


@pytest.mark.parametrize("options", [Options(cut=1), Options(cut_chunked_first=1)])
def test_requests_notices_a_cut(standin: Running, options: Options) -> None:
    standin.options = options
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        call(standin, RECORDINGS, WINDOW)


@pytest.mark.parametrize("window", [WINDOW, dict.fromkeys(WINDOW, "2024-03-30 00:00:00.000")])
def test_malformed_json_comes_with_a_200(standin: Running, window: dict[str, str]) -> None:
    standin.options = Options(malformed_first=1, now=lambda: QUIET_NOW)
    answer = call(standin, USAGE, {"Usage": "fax", **window})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    with pytest.raises(ValueError):
        json.loads(answer.content)
    assert isinstance(call(standin, USAGE, BODY).json(), list)


def test_an_error_object_comes_with_a_200(standin: Running) -> None:
    standin.options = Options(error_object_first=1)
    answer = call(standin, RECORDINGS, WINDOW)
    assert answer.status_code == 200
    assert set(answer.json()) == {"errorCode", "errorDescription"}
    assert isinstance(call(standin, RECORDINGS, WINDOW).json(), list)


def test_an_html_page_comes_with_a_200(standin: Running) -> None:
    standin.options = Options(html_first=1)
    answer = call(standin, USAGE, BODY)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert isinstance(call(standin, USAGE, BODY).json(), list)


def test_faults_strike_one_after_the_other(standin: Running) -> None:
    standin.options = Options(reset_first=1, fail_429_first=1, fail_500_first=1, malformed_first=1)
    with pytest.raises(requests.ConnectionError):
        call(standin, USAGE, BODY)
    assert statuses(standin, 3) == [429, 500, 200]
    assert isinstance(call(standin, USAGE, BODY).json(), list)


def test_new_options_count_anew(standin: Running) -> None:
    for _ in range(2):
        standin.options = Options(fail_429_first=1)
        assert statuses(standin, 2) == [429, 200]


def test_credentials_count_before_limits(standin: Running) -> None:
    standin.options = Options(fail_429_first=1)
    assert call(standin, USAGE, BODY, headers={"Authorization": "iPlumAuth x"}).status_code == 401
    assert statuses(standin, 2) == [429, 200]


def test_latency_delays_each_answer_but_not_the_others(standin: Running) -> None:
    standin.options = Options(latency=0.3)

    def take(_: Any) -> float:
        start = time.monotonic()
        assert call(standin, USAGE, BODY).status_code == 200
        return time.monotonic() - start

    start = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(take, range(8)))
    assert min(waits) >= 0.3
    assert time.monotonic() - start < 8 * 0.3


def test_a_client_that_gives_up_does_not_hold_the_server() -> None:
    with running(Options(latency=30)) as slow:
        with pytest.raises(requests.ReadTimeout):
            requests.post(slow.url + USAGE, json=BODY, headers=build_headers(slow.options, USAGE), timeout=0.2)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 1.5
