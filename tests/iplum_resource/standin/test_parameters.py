"""Validation of request parameters in the stand-in."""

from collections.abc import Iterator
from typing import Any

import pytest

from iplum_resource.standin.options import Options
from iplum_resource.standin.server import Running, running
from tests.iplum_resource.standin.test_signing import (
    CONTENT,
    RECORDING_FILE,
    RECORDINGS,
    USAGE,
    WINDOW,
    call,
    list_usage,
)

START = "2024-03-11 00:00:00.000"


@pytest.fixture(scope="module")
def standin() -> Iterator[Running]:
    with running(Options(rows_per_day=100)) as server:
        yield server


def fetch_error_code(standin: Running, path: str, body: object) -> str:
    response = call(standin, path, body)
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/json"
    error = response.json()
    assert set(error) == {"errorCode", "errorDescription"}
    assert error["errorDescription"]
    code: str = error["errorCode"]
    return code


@pytest.mark.parametrize("path", [USAGE, RECORDINGS])
@pytest.mark.parametrize(
    ("start", "end"),
    [
        (START, "2024-03-16 00:00:00.001"),
        (START, "2024-03-10 23:59:59.999"),
        (START, "2024-03-32 00:00:00.000"),
        (START, "2024-02-30T00:00:00Z"),
        (START, "16/03/2024"),
        (START, "2024-03-12"),
        (START, "2024-03-12T00:00:00+01:00"),
        (START, ""),
        (START, None),
        (1710115200, "2024-03-12 00:00:00.000"),
    ],
)
def test_an_invalid_date_range_is_an_invalid_date_error(
    standin: Running, path: str, start: object, end: object
) -> None:
    body = {"Usage": "fax", "StartDate": start, "EndDate": end}
    assert fetch_error_code(standin, path, body) == "ERR_INVALID_DATE"


@pytest.mark.parametrize("missing", ["StartDate", "EndDate"])
def test_both_dates_are_required(standin: Running, missing: str) -> None:
    body = {name: value for name, value in WINDOW.items() if name != missing}
    assert fetch_error_code(standin, RECORDINGS, body) == "ERR_INVALID_DATE"


@pytest.mark.parametrize("path", [USAGE, RECORDINGS])
@pytest.mark.parametrize("end", ["2024-03-16 00:00:00.000", START])
def test_a_range_of_exactly_five_days_or_of_zero_length_is_accepted(standin: Running, path: str, end: str) -> None:
    body = {"Usage": "fax", "StartDate": START, "EndDate": end}
    assert call(standin, path, body).status_code == 200


def test_documented_and_iso_dates_return_the_same_rows(standin: Running) -> None:
    documented = list_usage(standin, "2024-03-11 09:30:00.000", "2024-03-12 09:30:00.000")
    iso = list_usage(standin, "2024-03-11T09:30:00Z", "2024-03-12T09:30:00.000Z")
    assert len(documented) > 10
    assert documented == iso


@pytest.mark.parametrize("path", [USAGE, RECORDINGS, CONTENT, RECORDING_FILE])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"null", b"\xff{}", b"[" * 100_000])
def test_a_body_must_be_a_json_object(standin: Running, path: str, body: bytes) -> None:
    assert fetch_error_code(standin, path, body) == "ERR_INVALID_REQUEST"


@pytest.mark.parametrize(
    "usage", [None, "", " ", ",", "fax,", "sms", "fax,sms", "iplumtext", "IPLUMCALL", 1, ["fax"], "fax;externalcall"]
)
def test_usage_must_be_a_list_of_documented_types(standin: Running, usage: object) -> None:
    assert fetch_error_code(standin, USAGE, {"Usage": usage, **WINDOW}) == "ERR_INVALID_REQUEST"


def test_usage_is_required(standin: Running) -> None:
    assert fetch_error_code(standin, USAGE, WINDOW) == "ERR_INVALID_REQUEST"


def test_the_language_is_an_optional_string(standin: Running) -> None:
    assert call(standin, USAGE, {"Lang": "en", "Usage": "fax", **WINDOW}).status_code == 200
    assert fetch_error_code(standin, USAGE, {"Lang": 1, "Usage": "fax", **WINDOW}) == "ERR_INVALID_REQUEST"


KINDS = {
    "iPlumtext": ("text", "iplum"),
    "iplumcall": ("call", "iplum"),
    "externalcall": ("call", "external"),
    "externaltext": ("text", "external"),
    "fax": ("fax", "external"),
}


@pytest.mark.parametrize("name", list(KINDS))
def test_a_usage_type_returns_its_own_rows_only(standin: Running, name: str) -> None:
    everything = list_usage(standin, WINDOW["StartDate"], WINDOW["EndDate"])
    rows = list_usage(standin, WINDOW["StartDate"], WINDOW["EndDate"], types=name)
    assert rows == [row for row in everything if (row["usage"], row["type"]) == KINDS[name]]
    assert rows


def test_a_list_of_types_may_contain_blanks_and_duplicates(standin: Running) -> None:
    start, end = WINDOW["StartDate"], WINDOW["EndDate"]
    rows = list_usage(standin, start, end, types=" fax , fax,externalcall ")
    assert {row["usage"] for row in rows} == {"fax", "call"}


@pytest.mark.parametrize("path", [CONTENT, RECORDING_FILE])
@pytest.mark.parametrize(
    "record_id",
    [
        None,
        "",
        " ",
        7,
        "unknown",
        "0UmFAs73cwKbyqUtmz7ltLI.nGlAD.0Dgjdhpm",
        "0UmFAs73cwKbyqUtmz7ltLI.04d4f.00000000",
        "0UmFAs73cwKbyqUtmz7ltLI.fffff.00000000",
        "ae0b4e3e-76c0-46d2-8bab-18c8764081dbgjdi2j",
        "ae0b4e3e-76c0-46d2-8bab-18c8764081db004d4f",
        "ae0b4e3e-76c0-46d2-8bab-18c8764081dbffffff",
    ],
)
def test_an_unknown_record_id_is_a_bad_request(standin: Running, path: str, record_id: Any) -> None:
    assert fetch_error_code(standin, path, {"RecordID": record_id}) == "ERR_INVALID_REQUEST"


def test_a_record_id_is_required(standin: Running) -> None:
    assert fetch_error_code(standin, CONTENT, {}) == "ERR_INVALID_REQUEST"


def test_usage_types_can_be_rejected_by_configuration() -> None:
    with running(Options(refuse_types=frozenset({"iplumcall"}))) as standin:
        assert fetch_error_code(standin, USAGE, {"Usage": "fax,iplumcall", **WINDOW}) == "ERR_INVALID_REQUEST"
        assert call(standin, USAGE, {"Usage": "fax,externalcall", **WINDOW}).status_code == 200
