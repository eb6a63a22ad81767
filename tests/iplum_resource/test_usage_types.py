"""Usage types that the API rejects: one probe per type, then requests with the accepted types."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from iplum_resource.errors import InvalidDate, InvalidRequest, ServerFailed, Unauthorized
from iplum_resource.standin.options import Options
from iplum_resource.standin.server import Running
from iplum_resource.usage_types import UsageRequest
from iplum_resource.window import Window
from tests.support.scripted_server import ScriptedServer, respond
from tests.support.window_pulls import LATER, TYPES, ids_of
from tests.support.window_requests import CREDENTIALS, WIDE, Clock, build_client

ALL = ",".join(TYPES)
REJECTED = respond(400, b'{"errorCode": "ERR_INVALID_REQUEST"}')
ROWS = respond(200, b'[{"recordId": "r-1"}]')


@contextmanager
def _open_request(standin: Running, usage_types: Sequence[str] = TYPES, **options: Any) -> Iterator[UsageRequest]:
    clock = Clock()
    standin.options = Options(
        access_key=CREDENTIALS.access_key,
        secret_key=CREDENTIALS.secret_key,
        login_id=CREDENTIALS.login_id,
        clock=clock.now,
        now=lambda: LATER,
        **options,
    )
    with build_client(standin.url, clock) as client:
        yield UsageRequest(client, usage_types)


def _list_requested_types(standin: Running) -> list[str]:
    return [request.body["Usage"] for request in standin.requests if request.body]


def _build_windows(count: int) -> list[Window]:
    return [Window(WIDE.start + number * WIDE.width, WIDE.end + number * WIDE.width) for number in range(count)]


def test_an_accepted_list_of_types_causes_no_probes(standin: Running, caplog: pytest.LogCaptureFixture) -> None:
    with _open_request(standin) as fetch:
        response = fetch(WIDE)
    assert _list_requested_types(standin) == [ALL]
    assert response.usage_types == TYPES
    assert caplog.messages == []


def test_rejected_iplumcall_is_left_out_of_further_requests(standin: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), _open_request(standin, refuse_types=frozenset({"iplumcall"})) as fetch:
        responses = [fetch(window) for window in _build_windows(3)]
    accepted = "iPlumtext,externalcall,externaltext,fax"
    assert _list_requested_types(standin) == [ALL, *TYPES, *[accepted] * 3]
    assert {response.usage_types for response in responses} == {tuple(accepted.split(","))}
    assert all(response.records for response in responses)
    assert caplog.messages == [
        "iPlum rejects the usage types iplumcall. The sync continues with iPlumtext, externalcall, externaltext, fax."
    ]


def test_each_type_is_probed_with_the_first_hour_of_the_window(standin: Running) -> None:
    with _open_request(standin, refuse_types=frozenset({"fax"})) as fetch:
        fetch(WIDE)
        narrow = Window(WIDE.start, WIDE.start + timedelta(minutes=30))
    with _open_request(standin, refuse_types=frozenset({"fax"})) as fetch:
        fetch(narrow)
    probes = [r.body for r in standin.requests if r.body and r.body["Usage"] in TYPES]
    start = WIDE.request_dates[0]
    hour = Window(WIDE.start, WIDE.start + timedelta(hours=1))
    assert [(body["StartDate"], body["EndDate"]) for body in probes] == [
        *[(start, hour.request_dates[1])] * 5,
        *[(start, narrow.request_dates[1])] * 5,
    ]


@pytest.mark.parametrize("usage_types", [TYPES, ("iplumcall",), ("unheardOf", "fax")])
def test_the_error_is_raised_if_no_type_is_accepted(
    standin: Running, caplog: pytest.LogCaptureFixture, usage_types: tuple[str, ...]
) -> None:
    with _open_request(standin, usage_types, refuse_types=frozenset(TYPES)) as fetch:
        for window in _build_windows(3):
            with pytest.raises(InvalidRequest) as caught:
                fetch(window)
            assert str(window) in str(caught.value)
    joined = ",".join(usage_types)
    assert _list_requested_types(standin) == [joined, *usage_types, joined, joined]
    assert caplog.messages == []


def test_eight_threads_probe_once_and_warn_once(standin: Running, caplog: pytest.LogCaptureFixture) -> None:
    windows = _build_windows(24)
    rejected = frozenset({"iplumcall", "iPlumtext"})
    with (
        caplog.at_level(logging.WARNING),
        _open_request(standin, refuse_types=rejected) as fetch,
        ThreadPoolExecutor(8) as pool,
    ):
        responses = list(pool.map(fetch, windows))
    assert {response.usage_types for response in responses} == {("externalcall", "externaltext", "fax")}
    assert [response.window for response in responses] == windows
    assert all(ids_of(response) for response in responses)
    requested = Counter(_list_requested_types(standin))
    assert {name: requested[name] for name in TYPES} == dict.fromkeys(TYPES, 1)
    assert requested[ALL] <= 8
    assert requested["externalcall,externaltext,fax"] == 24
    assert len(caplog.messages) == 1


def test_eight_threads_probe_once_if_all_types_are_rejected(standin: Running) -> None:
    with _open_request(standin, refuse_types=frozenset(TYPES)) as fetch, ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(fetch, window) for window in _build_windows(16)]
        assert {type(future.exception(20)) for future in futures} == {InvalidRequest}
    requested = Counter(_list_requested_types(standin))
    assert requested == {ALL: 16, **dict.fromkeys(TYPES, 1)}


def test_the_error_is_raised_if_types_are_accepted_one_by_one_but_not_together() -> None:
    """The cause is not a type, and sending fewer types would lose rows."""
    with ScriptedServer(REJECTED, ROWS, ROWS, REJECTED) as server, build_client(server.url) as client:
        fetch = UsageRequest(client, ("fax", "iplumcall"))
        for _ in range(2):
            with pytest.raises(InvalidRequest):
                fetch(WIDE)
    assert len(server.received) == 4


def test_an_invalid_date_error_causes_no_probes() -> None:
    invalid_date = respond(400, b'{"errorCode": "ERR_INVALID_DATE"}')
    with ScriptedServer(invalid_date) as server, build_client(server.url) as client:
        with pytest.raises(InvalidDate):
            UsageRequest(client, TYPES)(WIDE)
        assert len(server.received) == 1


def test_probes_that_failed_in_an_outage_are_repeated() -> None:
    """Without repetition, one HTTP 500 would make all further windows of the run fail."""
    steps = [REJECTED, ROWS, *[respond(500)] * 8, REJECTED, ROWS, REJECTED, ROWS]
    with ScriptedServer(*steps) as server, build_client(server.url) as client:
        fetch = UsageRequest(client, ("fax", "iplumcall"))
        with pytest.raises(ServerFailed):
            fetch(WIDE)
        assert fetch(WIDE).usage_types == ("fax",)
    assert len(server.received) == len(steps)


def test_rejected_keys_stop_the_probes() -> None:
    with ScriptedServer(REJECTED, ROWS, respond(401)) as server, build_client(server.url) as client:
        fetch = UsageRequest(client, TYPES)
        for _ in range(2):
            with pytest.raises(Unauthorized):
                fetch(WIDE)
        assert len(server.received) == 3
