"""Headers and bodies of any form cost their response, never the run, and little memory."""

import io
import itertools
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from iplum_resource.errors import AccountError, IPlumError, MediaRefused, RateLimited, Unauthorized
from iplum_resource.http.responses import parse_content, parse_records, parse_url
from iplum_resource.http.status_errors import classify_status, compute_clock_correction, compute_clock_offset
from iplum_resource.http.transport import HttpResponse, parse_content_length
from iplum_resource.media.client import MediaClient
from pipelines.settings import PROJECT
from tests.support.scripted_server import ScriptedServer, respond, send
from tests.support.window_requests import NARROW, RECORDS, build_client

TYPES = ["fax"]
DATES = [
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Fri, 31 Dec 9999 23:59:59 -1200",
    "Mon, 01 Jan 0001 00:00:00 +1200",
    f"Fri, 31 Dec 2023 23:59:59 +{'9' * 30}",
    f"Fri, 31 Dec 2023 23:59:59 -{'9' * 30}",
    f"Fri, 31 Dec {'9' * 30} 23:59:59 GMT",
    f"Fri, 31 Dec 2023 {'9' * 30}:59:59 GMT",
    "Fri, 31 Dec 2023 23:59:59 +9999",
    "9" * 5000,
    "\0",
    ",",
    "",
]
CHARSETS = [
    "\0",
    "utf-8\0",
    "punycode",
    "idna",
    "undefined",
    "rot13",
    "zlib",
    "unicode_escape",
    "../x",
    "x" * 60_000,
    "é",
]
CONTENT_TYPES = [
    *(f"application/json; charset={charset}" for charset in CHARSETS),
    *(f"application/json; charset*={charset}''{charset}" for charset in CHARSETS),
    "text/html; charset*0*=\0''x; charset*1=\0",
    "application/json; charset*=utf-8''%00",
    "application/json;" * 1000,
    "\0;\0",
]


def build_response(status: int, body: bytes = b"", **headers: str) -> HttpResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, named, body, datetime.now(UTC))


@pytest.mark.parametrize(("date", "retry_after"), list(itertools.product(DATES, DATES)))
def test_dates_of_any_form_give_the_error_of_their_status(date: str, retry_after: str) -> None:
    for status, kind in ((401, Unauthorized), (429, RateLimited)):
        response = build_response(status, Date=date, Retry_After=retry_after)
        error = classify_status(response, "request")
        assert isinstance(error, kind)
        assert str(error)
        compute_clock_offset(response)
        compute_clock_correction(response)


@pytest.mark.parametrize(
    ("days", "is_used"), [(0, False), (-30, True), (-400, True), (30, True), (3650, False), (-36500, False)]
)
def test_a_date_header_corrects_the_clock_within_plausible_bounds(days: int, is_used: bool) -> None:
    difference = timedelta(days=days)
    sent_at = format_datetime(datetime.now(UTC) + difference, usegmt=True)
    correction = compute_clock_correction(build_response(200, Date=sent_at))
    assert abs(correction + (difference if is_used else timedelta(0))) < timedelta(seconds=5)


def test_a_date_in_the_year_9999_costs_one_request_of_a_run() -> None:
    far = "Fri, 31 Dec 9999 23:59:59 -1200"
    steps = respond(401, headers={"Date": far}), respond(429, headers={"Date": DATES[2], "Retry-After": far})
    for step, kind in zip(steps, (Unauthorized, RateLimited), strict=True):
        with ScriptedServer(step) as server, build_client(server.url) as client, pytest.raises(kind):
            client.fetch_usage(NARROW, TYPES)


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
@pytest.mark.parametrize("body", [RECORDS, b'"\xe9"', b"\xff" * 10, b"x-" * 50 + b"\xff"])
def test_content_types_of_any_form_cost_at_most_their_response(content_type: str, body: bytes) -> None:
    for parse in (parse_records, parse_content, parse_url):
        try:
            parse(build_response(200, body, Content_Type=content_type), "request")
        except IPlumError:
            assert not (parse is parse_records and body is RECORDS), "the body is valid UTF-8"


@pytest.mark.parametrize(
    ("charset", "body"), [("ISO-8859-1", b'"\xe9"'), ("windows-1252", b'"\xe9"'), ("utf-16", '"é"'.encode("utf-16"))]
)
def test_charsets_of_text_are_decoded(charset: str, body: bytes) -> None:
    response = build_response(200, body, Content_Type=f"application/json; charset={charset}")
    assert parse_content(response, "request").text == "é"


@pytest.mark.parametrize(
    ("text", "length"), [("12", 12), ("9" * 5000, None), ("٣", None), ("-1", None), ("1,1", None), ("", None)]
)
def test_a_content_length_is_a_plain_number(text: str, length: int | None) -> None:
    assert parse_content_length({"Content-Length": text}) == length


def test_a_content_length_of_5000_digits_costs_at_most_its_response() -> None:
    raw = f"HTTP/1.1 200 OK\r\nContent-Length: {'9' * 5000}\r\n\r\n".encode() + RECORDS
    with ScriptedServer(send(raw)) as server, build_client(server.url) as client:
        assert client.fetch_usage(NARROW, TYPES).body == RECORDS


@pytest.mark.parametrize("location", ["http://[x", "//[", "\0", "é", ""])
def test_a_redirect_to_no_url_is_refused(location: str) -> None:
    with ScriptedServer(respond(302, headers={"Location": location})) as server:
        hosts = frozenset([server.url.removeprefix("http://")])
        with MediaClient(hosts) as client, pytest.raises(MediaRefused):
            client.download(f"{server.url}/file", io.BytesIO())


@pytest.mark.parametrize("nested", ["[]", "[[[[[]]]]]", "{}", '{"a":1}', '"aa"', '[{"a":[]}]'])
@pytest.mark.parametrize("is_one_record", [False, True])
def test_a_nested_body_of_64_mb_stays_under_1_gb(nested: str, is_one_record: bool) -> None:
    script = f"""if True:
        import resource
        from datetime import UTC, datetime
        from iplum_resource.errors import UnreadableResponse
        from iplum_resource.http.responses import parse_records
        from iplum_resource.http.transport import HttpResponse
        nested, begin = b',{nested}', b'[{{"recordId":"a","x":[1' if {is_one_record} else b'[{{"recordId":"a"}}'
        body = begin + nested * ((64 << 20) // len(nested)) + (b']}}]' if {is_one_record} else b']')
        try:
            parse_records(HttpResponse(200, {{}}, body, datetime.now(UTC)), "request")
        except UnreadableResponse as error:
            assert "too many values" in str(error)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert int(run.stdout) < 1 << 20


@pytest.mark.parametrize(
    ("name", "values"), [("Date", DATES), ("Retry-After", DATES), ("Content-Type", CONTENT_TYPES), ("Location", DATES)]
)
@pytest.mark.parametrize("status", [200, 302, 400, 401, 429, 503])
def test_a_header_of_any_form_costs_one_request_of_a_client(name: str, values: list[str], status: int) -> None:
    """Each is sent once over a socket, and the request after it succeeds."""
    for value in dict.fromkeys(value[:4000] for value in values):
        header = f"HTTP/1.1 {status} Hostile\r\n{name}: {value}\r\nContent-Length: {len(RECORDS)}\r\n\r\n"
        hostile, fine = send(header.encode() + RECORDS), respond(200, RECORDS)
        with ScriptedServer(hostile, fine) as server, build_client(server.url) as client:
            try:
                first = client.fetch_usage(NARROW, TYPES)
            except AccountError:
                continue  # ends the run, as it must
            except IPlumError:
                pass
            else:
                assert first.rows == 1
            assert client.fetch_usage(NARROW, TYPES).rows == 1


@pytest.mark.parametrize("nested", ["[[[[[]]]]]", '{"a":1}'])
def test_a_nested_response_of_64_mb_from_a_socket_stays_under_1_gb(nested: str) -> None:
    count = ((64 << 20) - 100) // (len(nested) + 1)
    body = b'[{"recordId":"a","x":[1' + f",{nested}".encode() * count + b"]}]"
    script = """if True:
        import resource, sys
        from iplum_resource.errors import UnreadableResponse
        from tests.support.window_requests import NARROW, build_client
        with build_client(sys.argv[1]) as client:
            try:
                client.fetch_usage(NARROW, ["fax"])
            except UnreadableResponse as error:
                assert "too many values" in str(error), error
            else:
                sys.exit("no error")
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"""
    with ScriptedServer(respond(200, body)) as server:
        command = [sys.executable, "-c", script, server.url]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=PROJECT)
    assert int(run.stdout) < 1 << 20
