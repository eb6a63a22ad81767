"""Validation of requests: headers, signature, parameters; and the errors of the API."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response

from iplum_resource.standin.options import Options
from iplum_resource.standin.records import USAGE_TYPES

WIDEST = timedelta(days=5)

_DATE = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?Z?", re.ASCII)
_JSON_RANGES = {"application/json", "application/*", "*/*"}


@dataclass(frozen=True, slots=True)
class Window:
    """The two dates of a request; aware UTC."""

    start: datetime
    end: datetime


def check_media_types(headers: Headers) -> None:
    """Check that a request sends and accepts JSON.

    Raises:
        ApiError: 400 for another Content-Type, 406 for an Accept header without JSON.

    """
    if headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise invalid_request("Content-Type must be application/json.")
    accepted = headers.get("Accept", "*/*")
    if not any(_accepts_json(one_range) for one_range in accepted.lower().split(",")):
        raise ApiError(406)


def _accepts_json(one_range: str) -> bool:
    name, *parameters = (part.strip() for part in one_range.split(";"))
    rejected = any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters)
    return name in _JSON_RANGES and not rejected


def read_body(body: bytes) -> dict[str, Any]:
    """Parse a body as a JSON object.

    Raises:
        ApiError: 400 ERR_INVALID_REQUEST.

    """
    try:
        parameters = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid_request("The body is not JSON.") from None
    if not isinstance(parameters, dict):
        raise invalid_request("The body is not a JSON object.")
    if not isinstance(parameters.get("Lang", "en"), str):
        raise invalid_request("Lang is not a string.")
    return parameters


def read_window(parameters: dict[str, Any]) -> Window:
    """Parse StartDate and EndDate, UTC, with a space as in the documented example or in ISO form with Z.

    Raises:
        ApiError: 400 ERR_INVALID_DATE if one is missing or unreadable, the end is before the start, or the range
            is longer than five days.

    """
    window = Window(_read_date(parameters, "StartDate"), _read_date(parameters, "EndDate"))
    if window.end < window.start:
        raise invalid_date("The end date is before the start date.")
    if window.end - window.start > WIDEST:
        raise invalid_date("The end date should not be later than 5 days from the start date.")
    return window


def _read_date(parameters: dict[str, Any], name: str) -> datetime:
    text = parameters.get(name)
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        raise invalid_date(f"{name} is not a date and time in UTC format.")
    try:
        return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
    except ValueError:
        raise invalid_date(f"{name} is not a date of the calendar.") from None


def read_usage_kinds(parameters: dict[str, Any], *, rejected: frozenset[str]) -> frozenset[int]:
    """Parse Usage, the comma-separated list of usage types.

    Raises:
        ApiError: 400 ERR_INVALID_REQUEST for a missing or empty list, or a type in `rejected`.

    """
    text = parameters.get("Usage")
    if not isinstance(text, str):
        raise invalid_request("Usage is missing.")
    names = [name.strip() for name in text.split(",")]
    if any(name not in USAGE_TYPES or name in rejected for name in names):
        raise invalid_request("Usage names a type that is not accepted.")
    return frozenset(USAGE_TYPES[name] for name in names)


def read_record_id(parameters: dict[str, Any]) -> str:
    """Parse RecordID.

    Raises:
        ApiError: 400 ERR_INVALID_REQUEST if it is missing or blank.

    """
    record_id = parameters.get("RecordID")
    if not isinstance(record_id, str) or not record_id.strip():
        raise invalid_request("RecordID is missing.")
    return record_id


class ApiError(Exception):
    """An error response; `code` is the documented errorCode, for 400 and 500."""

    def __init__(
        self, status: int, code: str = "", *, description: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {code}".rstrip())
        self.status = status
        self.code = code
        self.description = description
        self.headers = headers


def invalid_date(description: str) -> ApiError:
    """Build the 400 of an invalid date range."""
    return ApiError(400, "ERR_INVALID_DATE", description=description)


def invalid_request(description: str) -> ApiError:
    """Build the 400 of invalid parameters."""
    return ApiError(400, "ERR_INVALID_REQUEST", description=description)


def fail() -> ApiError:
    """Build a 500, for which the vendor documents no code."""
    return ApiError(500, "ERR_SERVER", description="Server error. Contact us if this persists.")


def build_error_response(refusal: ApiError) -> Response:
    """Build the response: the documented error model for 400 and 500, else the reason phrase."""
    if refusal.status in (400, 500):
        model = {"errorCode": refusal.code, "errorDescription": refusal.description}
        return Response(json.dumps(model), refusal.status, refusal.headers, "application/json")
    return Response(HTTPStatus(refusal.status).phrase, refusal.status, refusal.headers, "text/plain")


_EPOCH_DIGITS = 12


def verify_headers(headers: Mapping[str, str], path: str, *, options: Options) -> None:
    """Check the mandatory headers, the age of the epoch, and the signature.

    The string to sign follows the documented code sample; `options.sign_login` decides the case of the login ID.

    Raises:
        ApiError: 401 for any missing, stale or wrong header.

    """
    access_key = headers.get("X-iPlumAuth-AccessKey", "").strip()
    login = headers.get("X-iPlumAuth-Username", "").strip()
    version = headers.get("X-iPlumAuth-Version", "").strip().lower()
    epoch = headers.get("X-iPlumAuth-EpochDateTime", "").strip()
    scheme, _, signature = headers.get("Authorization", "").strip().partition(" ")
    known = access_key == options.access_key and login.lower() == options.login_id.lower()
    if not known or version != "v1" or scheme != "iPlumAuth" or not _is_fresh(epoch, options):
        raise ApiError(401)
    signed_login = login.lower() if options.sign_login == "lower" else login
    representation = "\n".join(("post", access_key, signed_login, version, epoch, path.lower()))
    expected = _sign(options.secret_key, representation)
    if not hmac.compare_digest(expected, signature.encode("latin-1")):
        raise ApiError(401)


def read_clock(options: Options) -> datetime:
    """Return the server's time, aware UTC."""
    return options.clock() + options.clock_offset


def _is_fresh(epoch: str, options: Options) -> bool:
    if not (epoch.isascii() and epoch.isdigit() and len(epoch) <= _EPOCH_DIGITS):
        return False
    age = read_clock(options) - datetime(1970, 1, 1, tzinfo=UTC)
    return abs(age - timedelta(seconds=int(epoch))) <= options.max_epoch_age


def _sign(secret_key: str, representation: str) -> bytes:
    digest = hmac.new(secret_key.encode(), representation.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest)
