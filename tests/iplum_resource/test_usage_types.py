"""Usage types that the API rejects: each is tried alone, once, and the accepted ones are used."""

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
REFUSED = respond(400, b'{"errorCode": "ERR_INVALID_REQUEST"}')
ROWS = respond(200, b'[{"recordId": "r-1"}]')


@contextmanager
def _asking(standin: Running, wanted: Sequence[str] = TYPES, **options: Any) -> Iterator[UsageRequest]:
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
        yield UsageRequest(client, wanted)


def _list_asked(standin: Running) -> list[str]:
    return [request.body["Usage"] for request in standin.requests if request.body]


def _build_windows(count: int) -> list[Window]:
    return [Window(WIDE.start + number * WIDE.width, WIDE.end + number * WIDE.width) for number in range(count)]


def test_a_list_that_is_taken_is_all_that_is_sent(standin: Running, caplog: pytest.LogCaptureFixture) -> None:
    with _asking(standin) as fetch:
        response = fetch(WIDE)
    assert _list_asked(standin) == [ALL]
    assert response.usage_types == TYPES
    assert caplog.messages == []


def test_the_documents_list_without_its_examples_type(standin: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), _asking(standin, refuse_types=frozenset({"iplumcall"})) as fetch:
        answers = [fetch(window) for window in _build_windows(3)]
    accepted = "iPlumtext,externalcall,externaltext,fax"
    assert _list_asked(standin) == [ALL, *TYPES, *[accepted] * 3]
    assert {response.usage_types for response in answers} == {tuple(accepted.split(","))}
    assert all(response.records for response in answers)
    assert caplog.messages == [
        "iPlum rejects the usage types iplumcall. The sync continues with iPlumtext, externalcall, externaltext, fax."
    ]


def test_each_type_is_probed_in_an_hour_of_the_window(standin: Running) -> None:
    with _asking(standin, refuse_types=frozenset({"fax"})) as fetch:
        fetch(WIDE)
        narrow = Window(WIDE.start, WIDE.start + timedelta(minutes=30))
    with _asking(standin, refuse_types=frozenset({"fax"})) as fetch:
        fetch(narrow)
    probes = [r.body for r in standin.requests if r.body and r.body["Usage"] in TYPES]
    start = WIDE.request_dates[0]
    hour = Window(WIDE.start, WIDE.start + timedelta(hours=1))
    assert [(body["StartDate"], body["EndDate"]) for body in probes] == [
        *[(start, hour.request_dates[1])] * 5,
        *[(start, narrow.request_dates[1])] * 5,
    ]


@pytest.mark.parametrize("wanted", [TYPES, ("iplumcall",), ("unheardOf", "fax")])
def test_the_error_is_raised_if_no_type_is_accepted(
    standin: Running, caplog: pytest.LogCaptureFixture, wanted: tuple[str, ...]
) -> None:
    with _asking(standin, wanted, refuse_types=frozenset(TYPES)) as fetch:
        for window in _build_windows(3):
            with pytest.raises(InvalidRequest) as caught:
                fetch(window)
            assert str(window) in str(caught.value)
    asked = [",".join(wanted)] * 3
    assert _list_asked(standin) == [asked[0], *wanted, *asked[1:]]
    assert caplog.messages == []


def test_eight_threads_probe_once_and_warn_once(standin: Running, caplog: pytest.LogCaptureFixture) -> None:
    windows = _build_windows(24)
    refused = frozenset({"iplumcall", "iPlumtext"})
    with (
        caplog.at_level(logging.WARNING),
        _asking(standin, refuse_types=refused) as fetch,
        ThreadPoolExecutor(8) as pool,
    ):
        answers = list(pool.map(fetch, windows))
    assert {response.usage_types for response in answers} == {("externalcall", "externaltext", "fax")}
    assert [response.window for response in answers] == windows
    assert all(ids_of(response) for response in answers)
    asked = Counter(_list_asked(standin))
    assert {name: asked[name] for name in TYPES} == dict.fromkeys(TYPES, 1)
    assert asked[ALL] <= 8
    assert asked["externalcall,externaltext,fax"] == 24
    assert len(caplog.messages) == 1


def test_eight_threads_that_are_all_refused_probe_once(standin: Running) -> None:
    with _asking(standin, refuse_types=frozenset(TYPES)) as fetch, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(fetch, window) for window in _build_windows(16)]
        assert {type(future.exception(20)) for future in asked} == {InvalidRequest}
    counted = Counter(_list_asked(standin))
    assert counted == {ALL: 16, **dict.fromkeys(TYPES, 1)}


def test_types_that_are_taken_one_by_one_but_not_together() -> None:
    """The cause is not a type, and sending fewer types would lose rows."""
    with ScriptedServer(REFUSED, ROWS, ROWS, REFUSED) as server, build_client(server.url) as client:
        fetch = UsageRequest(client, ("fax", "iplumcall"))
        for _ in range(2):
            with pytest.raises(InvalidRequest):
                fetch(WIDE)
    assert len(server.received) == 4


def test_a_refused_date_is_not_about_types() -> None:
    refused = respond(400, b'{"errorCode": "ERR_INVALID_DATE"}')
    with ScriptedServer(refused) as server, build_client(server.url) as client:
        with pytest.raises(InvalidDate):
            UsageRequest(client, TYPES)(WIDE)
        assert len(server.received) == 1


def test_probes_that_an_outage_stops_are_made_again() -> None:
    """Otherwise one 500 would make every further window of the run fail."""
    steps = [REFUSED, ROWS, *[respond(500)] * 8, REFUSED, ROWS, REFUSED, ROWS]
    with ScriptedServer(*steps) as server, build_client(server.url) as client:
        fetch = UsageRequest(client, ("fax", "iplumcall"))
        with pytest.raises(ServerFailed):
            fetch(WIDE)
        assert fetch(WIDE).usage_types == ("fax",)
    assert len(server.received) == len(steps)


def test_refused_keys_end_the_probing() -> None:
    with ScriptedServer(REFUSED, ROWS, respond(401)) as server, build_client(server.url) as client:
        fetch = UsageRequest(client, TYPES)
        for _ in range(2):
            with pytest.raises(Unauthorized):
                fetch(WIDE)
        assert len(server.received) == 3
