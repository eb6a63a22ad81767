"""What a request asks for: its JSON body, read as strictly as the document allows."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.datastructures import Headers

from iplum_resource.standin.refusal import Refused, refuse_date, refuse_request
from iplum_resource.standin.rows import USAGE_TYPES

WIDEST = timedelta(days=5)

_DATE = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?Z?", re.ASCII)
_JSON_RANGES = {"application/json", "application/*", "*/*"}


@dataclass(frozen=True, slots=True)
class Window:
    """The two dates of a request; aware UTC."""

    start: datetime
    end: datetime


def check_media_types(headers: Headers) -> None:
    """Hold a request to JSON in both directions (sections Request Headers and RESPONSE).

    Raises:
        Refused: 400 for another Content-Type, 406 for an Accept that leaves JSON out.

    """
    if headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise refuse_request("Content-Type must be application/json.")
    accepted = headers.get("Accept", "*/*")
    if not any(_takes_json(one_range) for one_range in accepted.lower().split(",")):
        raise Refused(406)


def _takes_json(one_range: str) -> bool:
    name, *parameters = (part.strip() for part in one_range.split(";"))
    refused = any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters)
    return name in _JSON_RANGES and not refused


def read_body(body: bytes) -> dict[str, Any]:
    """Read a body as the JSON object it must be.

    Raises:
        Refused: 400 ERR_INVALID_REQUEST for anything else, or a Lang that is no string.

    """
    try:
        parameters = json.loads(body)
    except (ValueError, RecursionError):
        raise refuse_request("The body is not JSON.") from None
    if not isinstance(parameters, dict):
        raise refuse_request("The body is not a JSON object.")
    if not isinstance(parameters.get("Lang", "en"), str):
        raise refuse_request("Lang is not a string.")
    return parameters


def read_window(parameters: dict[str, Any]) -> Window:
    """Read StartDate and EndDate, UTC, with a space as in the document's example or in ISO form with Z.

    Raises:
        Refused: 400 ERR_INVALID_DATE if one is missing or unreadable, for an end before its start, and
            for more than five days (section Request Parameters, NOTE of EndDate).

    """
    window = Window(_read_date(parameters, "StartDate"), _read_date(parameters, "EndDate"))
    if window.end < window.start:
        raise refuse_date("The end date is before the start date.")
    if window.end - window.start > WIDEST:
        raise refuse_date("The end date should not be later than 5 days from the start date.")
    return window


def _read_date(parameters: dict[str, Any], name: str) -> datetime:
    text = parameters.get(name)
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        raise refuse_date(f"{name} is not a date and time in UTC format.")
    try:
        return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
    except ValueError:
        raise refuse_date(f"{name} is not a date of the calendar.") from None


def read_usage_kinds(parameters: dict[str, Any], *, refused: frozenset[str]) -> frozenset[int]:
    """Read Usage, the comma-separated list of usage types, each spelled as the document spells it.

    The document's list leaves `iplumcall` out while its example has it: `refused` takes either side.

    Raises:
        Refused: 400 ERR_INVALID_REQUEST for a missing or empty list, or any name that is not accepted.

    """
    text = parameters.get("Usage")
    if not isinstance(text, str):
        raise refuse_request("Usage is missing.")
    names = [name.strip() for name in text.split(",")]
    if any(name not in USAGE_TYPES or name in refused for name in names):
        raise refuse_request("Usage names a type that is not accepted.")
    return frozenset(USAGE_TYPES[name] for name in names)


def read_record_id(parameters: dict[str, Any]) -> str:
    """Read RecordID.

    Raises:
        Refused: 400 ERR_INVALID_REQUEST if it is missing or blank.

    """
    record_id = parameters.get("RecordID")
    if not isinstance(record_id, str) or not record_id.strip():
        raise refuse_request("RecordID is missing.")
    return record_id
