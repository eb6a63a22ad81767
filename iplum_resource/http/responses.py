"""Parsing of successful (HTTP 200) responses."""

import codecs
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from email.message import Message
from typing import Any

import orjson

from iplum_resource.errors import BrokenJson, UnreadableResponse
from iplum_resource.fields import get_field, is_record_id
from iplum_resource.http.status_errors import find_error_code
from iplum_resource.http.transport import HttpResponse
from iplum_resource.window import Window

_BOM = b"\xef\xbb\xbf"
#: The charsets that are decoded, by Python's names: those of text, each in linear time. `punycode` takes hours.
_CHARSETS = re.compile(
    r"ascii|utf-8(-sig)?|utf-(16|32)(-[bl]e)?|iso8859-\d{1,2}|cp125\d|koi8-[ru]|shift_jis|euc_\w+|big5|gb\w+"
)
#: In orjson's messages: "depth limit exceeded", "Recursion limit reached".
_DEPTH = re.compile(r"(?i)depth|recursion")
_UTF_8 = frozenset({"utf-8", "utf8", "us-ascii"})
_TOO_DEEP = "nested too deeply"
#: Bytes of a large array that are parsed at a time.
_PIECE = 4 << 20
#: Bytes that a parsed value takes, by the character that begins it or separates it from the next (measured).
_VALUE_BYTES = ((b"{", 250), (b"[", 90), (b",", 100))
#: Half of it is enough for a body of the maximum size that is full of records.
_MAX_PARSED_BYTES = 700 << 20
_TOO_MANY = "too many values"
_BETWEEN_OBJECTS = re.compile(rb"\}\s*(,)\s*\{")


#: Parses a body that is not valid JSON; raises `ValueError` and `RecursionError`.
JsonParser = Callable[[bytes], Any]


def reject_invalid_json(_body: bytes) -> Any:
    """Raise `ValueError`: the default `JsonParser`."""
    raise ValueError("not JSON")


@dataclass(frozen=True)
class WindowResponse:
    """One response for a window, with its body verbatim, transcoded to UTF-8 if the server declared another charset.

    `usage_types` is None for recordings; `rows` counts the elements of the body's array. `requested_at` is when the
    attempt was signed, `received_at` when the last byte arrived (UTC). `refused_types` are wanted usage types that
    were not sent because iPlum rejects them. `parse_invalid` parses a body that is not valid JSON.
    """

    window: Window
    usage_types: tuple[str, ...] | None
    body: bytes = field(repr=False)
    rows: int
    requested_at: datetime
    received_at: datetime
    refused_types: tuple[str, ...] = ()
    parse_invalid: JsonParser = field(default=reject_invalid_json, repr=False, compare=False)

    @property
    def records(self) -> list[object]:
        """The array, parsed at each access: a million records take several times the body's memory."""
        value, _ = _parse(self.body, self.parse_invalid)
        return value if isinstance(value, list) else []


@dataclass(frozen=True)
class Content:
    """The content of a text or fax.

    `text` is the value of the JSON string if the type is JSON and the body is a JSON string, else the body.
    `declared_json` is whether the type is JSON.
    """

    text: str = field(repr=False)
    declared_json: bool


def parse_records(
    response: HttpResponse, request: str, *, parse_invalid: JsonParser = reject_invalid_json
) -> tuple[bytes, int]:
    """Return the body of a window's response and the number of records in it.

    `request` names the request in errors; `parse_invalid` parses a body that is not valid JSON.

    Raises:
        BrokenJson: The body is not JSON, as when it is truncated.
        UnreadableResponse: The body is JSON but not an array, is nested too deeply, would take too much memory, or no
            element has a record ID.

    """
    body = _transcode_body(response)
    if _has_too_many_values(body):
        raise UnreadableResponse(request, _TOO_MANY)
    if (rows := _count_large_array(body)) is not None:
        return body, rows
    value, problem = _parse(body, parse_invalid)
    if problem:
        raise (UnreadableResponse if problem == _TOO_DEEP else BrokenJson)(request, problem)
    if not isinstance(value, list):
        raise UnreadableResponse(request, _describe(value))
    if value and not _has_id(value):
        raise UnreadableResponse(request, "no element has a recordId")
    return body, len(value)


def _has_id(elements: Iterable[Any]) -> bool:
    return any(isinstance(element, dict) and is_record_id(get_field(element, "recordId")) for element in elements)


def _has_too_many_values(body: bytes) -> bool:
    """Whether a parsed body would take over 700 MB, as 64 MB of nested empty arrays take 3 GB."""
    # A character counts inside a string too, which is rare in records.
    return sum(body.count(character) * size for character, size in _VALUE_BYTES) > _MAX_PARSED_BYTES


def _count_large_array(body: bytes) -> int | None:
    """Return the length of a large array without holding all of it; None if it is small, cannot be split, or lacks IDs.

    A comma with an object on either side may separate two elements; if all pieces parse, it does.
    """
    if len(body) < 2 * _PIECE or not body.startswith(b"["):
        return None
    rows, begin, has_id = 0, 1, False
    try:
        while cut := _BETWEEN_OBJECTS.search(body, begin + _PIECE):
            elements = orjson.loads(b"[" + body[begin : cut.start(1)] + b"]")
            rows, begin, has_id = rows + len(elements), cut.end(1), has_id or _has_id(elements)
        elements = orjson.loads(b"[" + body[begin:])
        return rows + len(elements) if has_id or _has_id(elements) else None
    except orjson.JSONDecodeError:
        return None


def parse_content(response: HttpResponse, request: str, *, parse_invalid: JsonParser = reject_invalid_json) -> Content:
    """Parse a content response (docs/iplum-api.md, "Get Usage Content").

    A JSON type with a body that is not a JSON string is plain text, because a message may contain anything.
    `parse_invalid` is as in `parse_records`.

    Raises:
        BrokenJson: A web page instead of a content.
        UnreadableResponse: An error object of the vendor.

    """
    media_type = _parse_content_type(response).get_content_type()
    declared_json = media_type.endswith("json")
    text = _decode(response.body, _get_charset(response))
    if media_type == "text/html" and text.lstrip()[:9].lower().startswith(("<!doctype", "<html")):
        raise BrokenJson(request, "a web page")
    if not declared_json:
        return Content(text, declared_json)
    value, problem = _parse(text.encode(), parse_invalid)
    code = find_error_code(value)
    if code is not None:
        raise UnreadableResponse(request, f"an error object, {code}")
    return Content(value if isinstance(value, str) and not problem else text, declared_json)


def parse_url(response: HttpResponse, request: str) -> str:
    """Return the URL in a recording-file response (docs/iplum-api.md, "Get Recording File").

    Raises:
        UnreadableResponse: The response is not one http or https URL.

    """
    url = parse_content(response, request).text.strip()
    if not url.lower().startswith(("http://", "https://")) or len(url.split()) != 1:
        raise UnreadableResponse(request, "not the URL of a recording" if url else "empty")
    return url


def _parse(body: bytes, parse_invalid: JsonParser) -> tuple[object, str]:
    """Return the value and no problem, or no value and the problem. No exception keeps the body alive."""
    body = body.removeprefix(_BOM)
    if _has_too_many_values(body):
        return None, _TOO_MANY
    try:
        return orjson.loads(body), ""
    except orjson.JSONDecodeError as error:
        if _DEPTH.search(error.msg):
            return None, _TOO_DEEP
    try:
        return parse_invalid(body), ""
    except RecursionError:
        return None, _TOO_DEEP
    except ValueError:
        return None, {b"": "empty", b"<": "a web page"}.get(body.lstrip()[:1], "not JSON")


def _describe(value: object) -> str:
    code = find_error_code(value)
    if code is not None:
        return f"an error object instead of an array, {code}"
    names = {type(None): "null", dict: "an object", str: "a string", bool: "true or false"}
    return f"{names.get(type(value), 'a number')} instead of an array"


def _get_charset(response: HttpResponse) -> str | None:
    try:
        return _parse_content_type(response).get_content_charset()
    except ValueError:
        return None  # a NUL in a name that is itself encoded


def _parse_content_type(response: HttpResponse) -> Message:
    message = Message()
    message["Content-Type"] = response.headers.get("Content-Type", "")
    return message


def _transcode_body(response: HttpResponse) -> bytes:
    """Return the body in UTF-8, from the charset that the server declared if it is not UTF-8 already."""
    charset = _get_charset(response)
    if charset is None or charset in _UTF_8:
        return response.body
    try:
        response.body.decode()
    except UnicodeDecodeError:
        return _transcode(response.body, charset) or response.body
    return response.body


def _transcode(body: bytes, charset: str) -> bytes | None:
    try:
        name = codecs.lookup(charset).name
        return body.decode(name).encode() if _CHARSETS.fullmatch(name) else None
    except (LookupError, ValueError):
        return None  # ValueError: undecodable, or a NUL in the name


def _decode(body: bytes, charset: str | None) -> str:
    transcoded = None if charset is None else _transcode(body, charset)
    # Bytes in neither the declared charset nor UTF-8 are replaced one by one.
    return (body if transcoded is None else transcoded).removeprefix(_BOM).decode(errors="replace")
