"""Authorization in the stand-in: accepted signatures, and the order of the checks."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

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

BODY = {"Usage": "fax", **WINDOW}
AUTH_HEADERS = [
    "X-iPlumAuth-AccessKey",
    "X-iPlumAuth-Username",
    "X-iPlumAuth-EpochDateTime",
    "X-iPlumAuth-Version",
    "Authorization",
]


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(Options()) as standin:
        yield standin


@pytest.fixture
def standin(server: Running) -> Running:
    server.options = Options()
    server.requests.clear()
    return server


@pytest.mark.parametrize("name", AUTH_HEADERS)
@pytest.mark.parametrize("value", [None, "", "wrong"])
def test_a_missing_or_wrong_header_is_a_401(standin: Running, name: str, value: str | None) -> None:
    assert call(standin, USAGE, BODY).status_code == 200
    response = call(standin, USAGE, BODY, headers={name: value})
    assert response.status_code == 401
    assert response.text == "Unauthorized"


def test_another_authorization_scheme_is_a_401(standin: Running) -> None:
    headers = build_headers(standin.options, USAGE)
    bearer = headers["Authorization"].replace("iPlumAuth", "Bearer")
    assert call(standin, USAGE, BODY, headers={"Authorization": bearer}).status_code == 401


@pytest.mark.parametrize("version", ["v2", "1", "v1 v1"])
def test_a_version_other_than_v1_is_a_401(standin: Running, version: str) -> None:
    assert call(standin, USAGE, BODY, headers={"X-iPlumAuth-Version": version}).status_code == 401


@pytest.mark.parametrize(
    "epoch",
    ["now", "-1", "1e9", "٣", "9" * 400, str(int(time.time()) * 1000), "1490752181"],
    # Fixed ids: pytest-xdist requires that all processes collect the same tests.
    ids=["word", "negative", "float", "Arabic digit", "too long", "milliseconds", "in 2017"],
)
def test_an_epoch_that_is_malformed_or_far_from_now_is_a_401(standin: Running, epoch: str) -> None:
    headers = build_headers(standin.options, USAGE, epoch=epoch)
    encoded = {name: value.encode() for name, value in headers.items()}
    response = requests.post(standin.url + USAGE, json=BODY, headers=encoded, timeout=20)
    assert response.status_code == 401


@pytest.mark.parametrize(("age", "status"), [(0, 200), (60, 200), (61, 401), (-60, 200), (-61, 401)])
def test_an_epoch_may_differ_from_the_clock_by_the_maximum_age(standin: Running, age: int, status: int) -> None:
    now = datetime(2024, 3, 20, 12, tzinfo=UTC)
    standin.options = Options(clock=lambda: now, max_epoch_age=timedelta(seconds=60))
    headers = build_headers(standin.options, USAGE, epoch=str(int(now.timestamp()) - age))
    assert call(standin, USAGE, BODY, headers=headers).status_code == status


def test_a_clock_offset_shows_in_the_date_header_and_causes_401(standin: Running) -> None:
    standin.options = Options(clock_offset=timedelta(hours=2))
    response = call(standin, USAGE, BODY)
    assert response.status_code == 401
    ahead = parsedate_to_datetime(response.headers["Date"]) - datetime.now(UTC)
    assert timedelta(minutes=119) < ahead < timedelta(minutes=121)
    headers = build_headers(standin.options, USAGE, epoch=str(int(time.time()) + 7200))
    assert call(standin, USAGE, BODY, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("login_case", "sent", "signed", "status"),
    [
        ("lower", "Admin@Clinic.Example", "admin@clinic.example", 200),
        ("lower", "Admin@Clinic.Example", "Admin@Clinic.Example", 401),
        ("typed", "Admin@Clinic.Example", "Admin@Clinic.Example", 200),
        ("typed", "Admin@Clinic.Example", "admin@clinic.example", 401),
        ("lower", "admin@clinic.example", "admin@clinic.example", 200),
        ("typed", "admin@clinic.example", "admin@clinic.example", 200),
    ],
)
def test_the_login_id_is_signed_in_lower_case_or_as_typed(
    standin: Running, login_case: Literal["lower", "typed"], sent: str, signed: str, status: int
) -> None:
    standin.options = Options(login_id="Admin@clinic.example", sign_login=login_case)
    headers = build_headers(standin.options, USAGE, login=signed) | {"X-iPlumAuth-Username": sent}
    assert call(standin, USAGE, BODY, headers=headers).status_code == status


def test_a_signature_is_valid_for_its_path_only(standin: Running) -> None:
    headers = build_headers(standin.options, RECORDINGS)
    assert call(standin, USAGE, BODY, headers=headers).status_code == 401


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/x-www-form-urlencoded"])
def test_another_content_type_is_a_bad_request(standin: Running, content_type: str | None) -> None:
    response = call(standin, USAGE, BODY, headers={"Content-Type": content_type})
    assert response.status_code == 400
    assert response.json()["errorCode"] == "ERR_INVALID_REQUEST"


def test_a_content_type_may_name_its_charset(standin: Running) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert call(standin, USAGE, BODY, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("text/html, application/*;q=0.2", 200),
        ("*/*", 200),
        ("text/html", 406),
        ("application/json;q=0, text/html", 406),
        ("application/json; q=0.000", 406),
    ],
)
def test_an_accept_header_without_json_is_a_406(standin: Running, accept: str, status: int) -> None:
    assert call(standin, USAGE, BODY, headers={"Accept": accept}).status_code == status


@pytest.mark.parametrize("path", ["/", "/usage", "/usage/getusage/", "/Usage/GetUsage", "/usage/other"])
def test_an_unknown_path_is_a_404_whatever_the_method_and_credentials(standin: Running, path: str) -> None:
    assert requests.post(standin.url + path, json={}, timeout=20).status_code == 404
    assert requests.get(standin.url + path, timeout=20).status_code == 404


@pytest.mark.parametrize("path", [USAGE, CONTENT, RECORDINGS, RECORDING_FILE])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_a_wrong_method_is_a_405_even_without_credentials(standin: Running, path: str, method: str) -> None:
    response = requests.request(method, standin.url + path, timeout=20)
    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize("path", [USAGE, CONTENT, RECORDINGS, RECORDING_FILE])
def test_permission_is_checked_after_the_credentials_and_before_the_body(standin: Running, path: str) -> None:
    standin.options = Options(usage_permission=False, recording_plan=False)
    assert call(standin, path, b"{", headers={"Authorization": "iPlumAuth x"}).status_code == 401
    assert call(standin, path, b"{").status_code == 403


def test_a_missing_plan_or_permission_affects_its_own_endpoints_only(standin: Running) -> None:
    standin.options = Options(recording_plan=False)
    assert call(standin, USAGE, BODY).status_code == 200
    assert call(standin, RECORDINGS, BODY).status_code == 403
    standin.options = replace(standin.options, recording_plan=True, usage_permission=False)
    assert call(standin, USAGE, BODY).status_code == 403
    assert call(standin, RECORDINGS, BODY).status_code == 200
