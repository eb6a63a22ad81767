"""Faults that the stand-in can simulate: frequency, scope and effect of each."""

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


def list_statuses(standin: Running, count: int, *, path: str = USAGE) -> list[int]:
    return [call(standin, path, BODY).status_code for _ in range(count)]


def send_with_http_client(standin: Running) -> http.client.HTTPResponse:
    """Send a request with `http.client`, to see the response without the error handling of requests and urllib3."""
    connection = http.client.HTTPConnection(standin.media_host, timeout=20)
    try:
        headers = build_headers(standin.options, USAGE)
        connection.request("POST", USAGE, json.dumps(BODY), headers)
        return connection.getresponse()
    finally:
        connection.close()


def test_the_first_requests_fail_with_a_429(standin: Running) -> None:
    standin.options = Options(fail_429_first=2)
    assert list_statuses(standin, 4) == [429, 429, 200, 200]
    assert [request.status for request in standin.requests] == [429, 429, 200, 200]
    assert "Retry-After" not in call(standin, USAGE, BODY).headers


def test_retry_after_in_seconds(standin: Running) -> None:
    standin.options = Options(fail_429_first=1, retry_after="seconds")
    assert call(standin, USAGE, BODY).headers["Retry-After"] == "1"


def test_retry_after_as_a_date_on_the_servers_clock(standin: Running) -> None:
    moment = datetime(2024, 3, 20, 12, tzinfo=UTC)
    standin.options = Options(fail_429_first=1, retry_after="date", clock=lambda: moment)
    headers = build_headers(standin.options, USAGE, epoch=str(int(moment.timestamp())))
    response = call(standin, USAGE, BODY, headers=headers)
    assert parsedate_to_datetime(response.headers["Retry-After"]) == moment + timedelta(seconds=1)


def test_a_rate_limit_applies_to_a_sliding_second(standin: Running) -> None:
    standin.options = Options(rate_limit=3, retry_after="seconds")
    start = time.monotonic()
    statuses = list_statuses(standin, 6)
    if time.monotonic() - start < 1:
        assert statuses == [200, 200, 200, 429, 429, 429]
    time.sleep(1.05)
    assert call(standin, USAGE, BODY).status_code == 200


def test_a_rate_limit_below_one_request_per_second(standin: Running) -> None:
    standin.options = Options(rate_limit=0.1, retry_after="seconds")
    assert call(standin, USAGE, BODY).status_code == 200
    limited = call(standin, USAGE, BODY)
    assert limited.status_code == 429
    assert 5 <= int(limited.headers["Retry-After"]) <= 10


def test_the_first_requests_fail_with_a_500_and_a_documented_error_object(standin: Running) -> None:
    standin.options = Options(fail_500_first=1)
    response = call(standin, RECORDINGS, WINDOW)
    assert response.status_code == 500
    assert set(response.json()) == {"errorCode", "errorDescription"}
    assert list_statuses(standin, 2) == [200, 200]


def test_random_500s_are_determined_by_the_seed(standin: Running) -> None:
    standin.options = Options(fail_500=0.5, seed=3)
    first = list_statuses(standin, 24)
    assert set(first) == {200, 500}
    standin.options = Options(fail_500=0.5, seed=3)
    assert list_statuses(standin, 24) == first
    standin.options = Options(fail_500=0.5, seed=4)
    assert list_statuses(standin, 24) != first


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
def test_windows_that_overlap_a_broken_day_fail_with_a_500(
    standin: Running, path: str, start: str, end: str, status: int
) -> None:
    standin.options = Options(fail_500_days=frozenset({date(2024, 3, 13)}))
    body = {"Usage": "fax", "StartDate": start, "EndDate": end}
    assert call(standin, path, body).status_code == status


@pytest.mark.parametrize("path", [USAGE, RECORDINGS])
def test_windows_wider_than_the_maximum_fail_with_a_500(standin: Running, path: str) -> None:
    standin.options = Options(fail_500_wider_than=timedelta(hours=6))
    body = {"Usage": "fax", "StartDate": "2024-03-11 00:00:00.000", "EndDate": "2024-03-11 06:00:00.000"}
    assert call(standin, path, body).status_code == 200
    assert call(standin, path, body | {"EndDate": "2024-03-11 06:00:00.001"}).status_code == 500


def test_the_first_connections_are_reset(standin: Running) -> None:
    standin.options = Options(reset_first=2)
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            send_with_http_client(standin)
    assert send_with_http_client(standin).status == 200
    assert [request.status for request in standin.requests] == [None, None, 200]


def test_requests_raises_a_connection_error_on_a_reset(standin: Running) -> None:
    standin.options = Options(reset_first=1)
    with pytest.raises(requests.ConnectionError):
        call(standin, USAGE, BODY)
    assert standin.requests[0].body == BODY


def test_random_resets_affect_every_endpoint(standin: Running) -> None:
    standin.options = Options(reset=1)
    for path in (USAGE, RECORDINGS, CONTENT, RECORDING_FILE):
        with pytest.raises(requests.ConnectionError):
            call(standin, path, BODY)


def test_a_truncated_body_is_half_as_long_as_its_content_length(standin: Running) -> None:
    complete = call(standin, USAGE, BODY).content
    standin.options = Options(cut_first=1)
    connection = http.client.HTTPConnection(standin.media_host, timeout=20)
    try:
        connection.request("POST", USAGE, json.dumps(BODY), build_headers(standin.options, USAGE))
        response = connection.getresponse()
        assert response.status == 200
        assert response.getheader("Content-Length") == str(len(complete))
        with pytest.raises(http.client.IncompleteRead) as caught:
            response.read()
    finally:
        connection.close()
    assert caught.value.partial == complete[: len(complete) // 2]
    assert call(standin, USAGE, BODY).content == complete


def test_a_truncated_chunked_body_lacks_its_last_chunk(standin: Running) -> None:
    standin.options = Options(cut_chunked_first=1)
    connection = http.client.HTTPConnection(standin.media_host, timeout=20)
    try:
        connection.request("POST", USAGE, json.dumps(BODY), build_headers(standin.options, USAGE))
        response = connection.getresponse()
        assert response.getheader("Content-Length") is None
        assert response.getheader("Transfer-Encoding") == "chunked"
        with pytest.raises(http.client.IncompleteRead):
            response.read()
    finally:
        connection.close()
    assert call(standin, USAGE, BODY).status_code == 200


@pytest.mark.parametrize("options", [Options(cut=1), Options(cut_chunked_first=1)])
def test_requests_raises_an_error_for_a_truncated_body(standin: Running, options: Options) -> None:
    standin.options = options
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        call(standin, RECORDINGS, WINDOW)


@pytest.mark.parametrize("window", [WINDOW, dict.fromkeys(WINDOW, "2024-03-30 00:00:00.000")])
def test_malformed_json_is_sent_with_a_200(standin: Running, window: dict[str, str]) -> None:
    standin.options = Options(malformed_first=1, now=lambda: QUIET_NOW)
    response = call(standin, USAGE, {"Usage": "fax", **window})
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")
    with pytest.raises(ValueError):
        json.loads(response.content)
    assert isinstance(call(standin, USAGE, BODY).json(), list)


def test_an_error_object_is_sent_with_a_200(standin: Running) -> None:
    standin.options = Options(error_object_first=1)
    response = call(standin, RECORDINGS, WINDOW)
    assert response.status_code == 200
    assert set(response.json()) == {"errorCode", "errorDescription"}
    assert isinstance(call(standin, RECORDINGS, WINDOW).json(), list)


def test_an_html_page_is_sent_with_a_200(standin: Running) -> None:
    standin.options = Options(html_first=1)
    response = call(standin, USAGE, BODY)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")
    assert isinstance(call(standin, USAGE, BODY).json(), list)


def test_each_request_has_at_most_one_fault_of_several(standin: Running) -> None:
    standin.options = Options(reset_first=1, fail_429_first=1, fail_500_first=1, malformed_first=1)
    with pytest.raises(requests.ConnectionError):
        call(standin, USAGE, BODY)
    assert list_statuses(standin, 3) == [429, 500, 200]
    assert isinstance(call(standin, USAGE, BODY).json(), list)


def test_new_options_restart_the_counts_of_faults(standin: Running) -> None:
    for _ in range(2):
        standin.options = Options(fail_429_first=1)
        assert list_statuses(standin, 2) == [429, 200]


def test_a_401_does_not_use_up_a_fault(standin: Running) -> None:
    standin.options = Options(fail_429_first=1)
    assert call(standin, USAGE, BODY, headers={"Authorization": "iPlumAuth x"}).status_code == 401
    assert list_statuses(standin, 2) == [429, 200]


def test_latency_delays_concurrent_requests_at_the_same_time(standin: Running) -> None:
    standin.options = Options(latency=0.3)

    def measure_request(_: Any) -> float:
        start = time.monotonic()
        assert call(standin, USAGE, BODY).status_code == 200
        return time.monotonic() - start

    start = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(measure_request, range(8)))
    assert min(waits) >= 0.3
    assert time.monotonic() - start < 8 * 0.3


def test_the_server_shuts_down_without_waiting_for_a_disconnected_client() -> None:
    with running(Options(latency=30)) as slow:
        with pytest.raises(requests.ReadTimeout):
            requests.post(slow.url + USAGE, json=BODY, headers=build_headers(slow.options, USAGE), timeout=0.2)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 1.5
