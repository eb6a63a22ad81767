"""The client's four calls: the requests they send, and parsing of successful responses."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from iplum_resource.client import IPlumClient
from iplum_resource.errors import BrokenJson, UnreadableResponse
from iplum_resource.http.responses import Content, parse_records
from iplum_resource.http.transport import HttpResponse
from iplum_resource.limits.rate_limiter import RateLimiter
from iplum_resource.signing import sign
from tests.support.scripted_server import Received, ScriptedServer, respond, send, write_head
from tests.support.window_requests import CREDENTIALS, NARROW, RECORDS, WIDE, Clock, build_client
from warehouse.raw.lenient_json import parse_json

TEXT = {"Content-Type": "text/plain; charset=utf-8"}


def _compute_authorization(request: Received, login_id: str) -> str:
    epoch = request.headers["x-iplumauth-epochdatetime"]
    keys = CREDENTIALS.secret_key, CREDENTIALS.access_key, login_id, "v1"
    return f"iPlumAuth {sign(*keys, epoch, request.path)}"


def test_a_usage_request_matches_the_documented_example() -> None:
    clock = Clock()
    with ScriptedServer(respond(200, RECORDS)) as server, build_client(server.url, clock) as client:
        response = client.fetch_usage(WIDE, ["iPlumtext", "iplumcall"])
    (request,) = server.received
    assert request.path == "/usage/getusage"
    assert json.loads(request.body) == {
        "Lang": "en",
        "Usage": "iPlumtext,iplumcall",
        "StartDate": "2024-01-01 00:00:00.000",
        "EndDate": "2024-01-06 00:00:00.000",
    }
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-iplumauth-accesskey"] == CREDENTIALS.access_key
    assert request.headers["x-iplumauth-username"] == CREDENTIALS.login_id.lower()
    assert request.headers["x-iplumauth-version"] == "v1"
    assert request.headers["x-iplumauth-epochdatetime"] == str(int(clock.now().timestamp()))
    assert request.headers["authorization"] == _compute_authorization(request, CREDENTIALS.login_id.lower())
    assert (response.window, response.usage_types) == (WIDE, ("iPlumtext", "iplumcall"))
    assert (response.body, response.records) == (RECORDS, [{"recordId": "r-1", "usage": "call"}])
    assert response.requested_at == response.received_at == clock.now()
    assert "r-1" not in repr(response)


def test_login_case_typed_sends_and_signs_the_login_id_unchanged() -> None:
    with (
        ScriptedServer(respond(200, b"[]")) as server,
        build_client(server.url, login_case="typed", language="fr", user_agent="checker/1") as client,
    ):
        response = client.fetch_recordings(NARROW)
    (request,) = server.received
    assert request.path == "/callrecordings/getrecordings"
    assert json.loads(request.body) == {
        "Lang": "fr",
        "StartDate": "2024-01-01 00:00:00.000",
        "EndDate": "2024-01-01 01:00:00.000",
    }
    assert request.headers["x-iplumauth-username"] == CREDENTIALS.login_id
    assert request.headers["authorization"] == _compute_authorization(request, CREDENTIALS.login_id)
    assert request.headers["user-agent"] == "checker/1"
    assert (response.usage_types, response.records) == (None, [])


@pytest.mark.parametrize("types", [[], "fax"])
def test_usage_types_must_be_a_nonempty_list(types: list[str] | str) -> None:
    with build_client("http://127.0.0.1:9") as client, pytest.raises(ValueError, match="usage types"):
        client.fetch_usage(WIDE, types)


def test_netrc_proxy_variables_and_cookies_do_not_change_requests(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("default login stranger password secret")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with (
        ScriptedServer(respond(200, b"[]", {"Set-Cookie": "a=b; Path=/"})) as server,
        build_client(server.url) as client,
    ):
        client.fetch_recordings(WIDE)
        client.fetch_recordings(WIDE)
    assert [request.headers["authorization"][:10] for request in server.received] == ["iPlumAuth "] * 2
    assert [request.headers.get("cookie") for request in server.received] == [None] * 2


RECORD = '[{"recordId": "é"}]'


@pytest.mark.parametrize(
    ("body", "headers", "records"),
    [
        (b'\xef\xbb\xbf[{"recordId":1}]', {}, [{"recordId": 1}]),
        (b' \r\n[{"recordId":1}]\n', {}, [{"recordId": 1}]),
        (RECORD.encode(), {"Content-Type": "text/html; charset=iso-8859-1"}, [{"recordId": "é"}]),
        (RECORD.encode("latin-1"), {"Content-Type": "application/json; charset=iso-8859-1"}, [{"recordId": "é"}]),
        (RECORD.encode("utf-16"), {"Content-Type": "application/json; charset=utf-16"}, [{"recordId": "é"}]),
        (
            rb'[{"recordId": "a"}, "cut \ud83d", "\\ud83d", "\uD83D\uDC4B"]',
            {},
            [{"recordId": "a"}, "cut \ud83d", "\\ud83d", "👋"],
        ),
        (b'[{"recordId": "a", "new": NaN}]', {}, [{"recordId": "a", "new": "NaN"}]),
        (b'[{"recordId": "a", "new": "tab\there"}]', {}, [{"recordId": "a", "new": "tab\there"}]),
        (b"[]", {"Content-Type": ""}, []),
    ],
)
def test_records_are_parsed_in_any_encoding(body: bytes, headers: Mapping[str, str], records: list[object]) -> None:
    with ScriptedServer(respond(200, body, headers)) as server, build_client(server.url) as client:
        response = client.fetch_recordings(WIDE)
    assert response.records == records
    assert response.body == body or response.body.decode() == RECORD


def count_records(body: bytes) -> int:
    response = HttpResponse(200, {}, body, datetime(2024, 1, 1, tzinfo=UTC))
    return parse_records(response, "a request", parse_invalid=parse_json)[1]


def test_the_records_of_a_large_array_are_counted_with_any_separators() -> None:
    texts = ("},{", "} , {", "]},{[", "é")
    padding = "x" * 400
    rows = [
        {"recordId": f"r-{number}", "from": texts[number % 4], "new": [{}, {}], "to": padding}
        for number in range(25_000)
    ]
    compact = json.dumps(rows, separators=(",", ":"), ensure_ascii=False).encode()
    assert len(compact) > 10 * 2**20
    assert count_records(compact) == count_records(json.dumps(rows, indent=0).encode() + b"\n") == len(rows)
    with pytest.raises(UnreadableResponse, match="no element has a recordId"):
        count_records(b"[" + compact + b"]")
    for truncated in (compact[:-1], compact[:-20]):
        with pytest.raises(BrokenJson):
            count_records(truncated)
    assert count_records(compact[:-1] + b",]") == len(rows)
    # The text of the bad record contains `},{`, so it may count as several.
    assert 0 <= count_records(compact.replace(b"r-15000", b'"', 1)) - len(rows) <= 3


def test_a_chunked_body_is_joined() -> None:
    head = write_head(200, length=None, headers={"Transfer-Encoding": "chunked"})
    with (
        ScriptedServer(send(head + b'11\r\n[{"recordId": 1},\r\n2\r\n2]\r\n0\r\n\r\n')) as server,
        build_client(server.url) as client,
    ):
        assert client.fetch_recordings(WIDE).body == b'[{"recordId": 1},2]'


@pytest.mark.parametrize(
    ("body", "headers", "text", "declared_json"),
    [
        (b'"Hello"', {}, "Hello", True),
        (b"Hello", {}, "Hello", True),
        (b'"Hello"', TEXT, '"Hello"', False),
        ("\ufeffGrüße 👋\n".encode(), TEXT, "Grüße 👋\n", False),
        ("Grüße".encode("latin-1"), {"Content-Type": "text/plain; charset=latin-1"}, "Grüße", False),
        ("Grüße".encode("latin-1"), {"Content-Type": "text/plain"}, "Gr��e", False),
        ("Grüße".encode(), {"Content-Type": "text/plain; charset=nonsense"}, "Grüße", False),
        (b'"\\ud83d"', {}, "\ud83d", True),
        (b'{"a": 1}', {"Content-Type": "application/problem+json"}, '{"a": 1}', True),
        (b"null", {}, "null", True),
        (b"", {}, "", True),
        (b"", TEXT, "", False),
        (b"<b>I write HTML</b>", {"Content-Type": "text/html"}, "<b>I write HTML</b>", False),
    ],
)
def test_content_is_a_json_string_or_plain_text(
    body: bytes, headers: Mapping[str, str], text: str, declared_json: bool
) -> None:
    with ScriptedServer(respond(200, body, headers)) as server, build_client(server.url) as client:
        assert client.fetch_content("r-\ud83d") == Content(text, declared_json)
    assert json.loads(server.received[0].body) == {"Lang": "en", "RecordID": "r-\ud83d"}
    assert server.received[0].path == "/usage/getcontent"


def test_an_error_object_or_a_web_page_is_rejected_as_content() -> None:
    with (
        ScriptedServer(respond(200, b'{"errorCode": "ERR_INVALID_REQUEST"}')) as server,
        build_client(server.url) as client,
        pytest.raises(UnreadableResponse, match="ERR_INVALID_REQUEST"),
    ):
        client.fetch_content("r-1")
    with (
        ScriptedServer(respond(200, b"\n<!DOCTYPE html>", {"Content-Type": "text/html"})) as server,
        build_client(server.url) as client,
        pytest.raises(BrokenJson, match="web page"),
    ):
        client.fetch_content("r-1")


def test_fetch_recording_url_returns_the_url() -> None:
    url = "http://media.iplum.com/ae0b4e3e.mp3"
    with ScriptedServer(respond(200, f'"{url}"\n'.encode())) as server, build_client(server.url) as client:
        assert client.fetch_recording_url("r-1") == url
    assert server.received[0].path == "/callrecordings/getrecordingfile"


@pytest.mark.parametrize("body", [b"", b'""', b"null", b'"not ready"', b'"https://a b"', b'"file:///etc/passwd"'])
def test_a_recording_response_that_is_not_one_url_is_an_error(body: bytes) -> None:
    with (
        ScriptedServer(respond(200, body)) as server,
        build_client(server.url) as client,
        pytest.raises(UnreadableResponse),
    ):
        client.fetch_recording_url("r-1")


def test_a_request_is_signed_after_the_wait_for_the_rate_limiter() -> None:
    clock = Clock()
    limiter = RateLimiter(0.01, clock=lambda: clock.now().timestamp(), sleep=clock.sleep)
    with ScriptedServer(respond(200, b"[]")) as server, build_client(server.url, clock, limiter=limiter) as client:
        responses = [client.fetch_recordings(WIDE) for _ in range(2)]
    epochs = [int(request.headers["x-iplumauth-epochdatetime"]) for request in server.received]
    assert epochs[1] - epochs[0] == 100
    assert responses[1].requested_at - responses[0].requested_at == timedelta(seconds=100)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://api.iplum.com", "must be https"),
        ("ftp://api.iplum.com", "like https"),
        ("api.iplum.com", "like https"),
        ("https://", "like https"),
        ("https://api.iplum.com:port", "like https"),
        ("https://user:CANARY@api.iplum.com", "no user"),
        ("https://api.iplum.com/?a=b", "no user, query"),
    ],
)
def test_an_invalid_base_url_is_rejected(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        build_client(url)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://api.iplum.com/", "http://localhost:1", "http://[::1]:1", "http://127.1.2.3"])
def test_https_and_loopback_base_urls_are_accepted(url: str) -> None:
    with build_client(url) as client:
        assert client is not None


def test_the_default_clock_returns_the_current_time_in_utc() -> None:
    with (
        ScriptedServer(respond(200, b"[]")) as server,
        IPlumClient(CREDENTIALS, limiter=RateLimiter(1000), base_url=server.url) as client,
    ):
        requested_at = client.fetch_recordings(WIDE).requested_at
    assert abs(datetime.now(UTC) - requested_at) < timedelta(minutes=1)
