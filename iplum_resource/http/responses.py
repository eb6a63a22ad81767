"""What a 200 brings: records, a content, or the address of a recording."""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from email.message import Message

import orjson

from iplum_resource.errors import BrokenJson, UnreadableResponse
from iplum_resource.http.status_errors import find_error_code
from iplum_resource.http.transport import HttpResponse
from iplum_resource.window import Window

_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
#: How orjson's versions say it: "depth limit exceeded", "Recursion limit reached".
_DEPTH = re.compile(r"(?i)depth|recursion")
_TOO_DEEP = "nested too deeply"
#: So many bytes of a large array are parsed at a time.
_PIECE = 4 << 20
_BETWEEN_OBJECTS = re.compile(rb"\}\s*(,)\s*\{")


@dataclass(frozen=True)
class WindowResponse:
    """Keep what iPlum said about a window, byte for byte, next to what it means.

    `body` is the answer as received (transcoded to UTF-8 only where the server declared another charset, so
    that it can be read without its headers; a byte order mark stays), `rows` the elements of its array.
    `usage_types` is None for recordings. `requested_at` is when the attempt was signed and `received_at` when its
    last byte came, both UTC. The repr shows neither body nor records.
    """

    window: Window
    usage_types: tuple[str, ...] | None
    body: bytes = field(repr=False)
    rows: int
    requested_at: datetime
    received_at: datetime

    @property
    def records(self) -> list[object]:
        """The array, parsed anew each time: of a million records, it takes several times the body."""
        value, _ = _parse(self.body)
        return value if isinstance(value, list) else []


@dataclass(frozen=True)
class Content:
    """Keep a text or a fax as received, and whether iPlum declared it as JSON.

    `text` is the JSON string's value where the type is JSON and the body a JSON string, else the body.
    """

    text: str = field(repr=False)
    declared_json: bool


def read_records(reply: HttpResponse, request: str) -> tuple[bytes, int]:
    """Get the body and how many records are in it (document, "Get Usage Records", "Get Recording Records").

    Raises BrokenJson for what isn't JSON, which a cut answer isn't, and UnreadableResponse for JSON that isn't
    an array or is nested too deeply. `request` names the request in the error.
    """
    body, charset = reply.body, _read_charset(reply)
    if (rows := _count_in_pieces(body)) is not None:
        return body, rows
    value, problem = _parse(body)
    if problem and charset is not None:
        transcoded = _transcode(body, charset)
        if transcoded is not None:
            body = transcoded
            value, problem = _parse(body)
    if problem:
        raise (UnreadableResponse if problem == _TOO_DEEP else BrokenJson)(request, problem)
    if not isinstance(value, list):
        raise UnreadableResponse(request, _describe(value))
    return body, len(value)


def _count_in_pieces(body: bytes) -> int | None:
    """Count the elements of a large array without holding all of them; None where it isn't large, or can't be cut.

    A comma with an array on either side of it stands between two elements, so pieces that parse are the whole.
    """
    if len(body) < 2 * _PIECE or not body.startswith(b"["):
        return None
    rows, begin = 0, 1
    try:
        while cut := _BETWEEN_OBJECTS.search(body, begin + _PIECE):
            rows += len(orjson.loads(b"[" + body[begin : cut.start(1)] + b"]"))
            begin = cut.end(1)
        return rows + len(orjson.loads(b"[" + body[begin:]))
    except orjson.JSONDecodeError:
        return None


def read_content(reply: HttpResponse, request: str) -> Content:
    """Get the string of a content (document, "Get Usage Content": "Returns a string").

    A JSON type whose body is no JSON string is text as it stands, for a message may look like anything.
    Raises BrokenJson for a web page in a content's place, UnreadableResponse for a vendor's error object.
    """
    declared_json = _read_type(reply).endswith("json")
    text = _decode(reply.body, _read_charset(reply))
    if _read_type(reply) == "text/html" and text.lstrip()[:9].lower().startswith(("<!doctype", "<html")):
        raise BrokenJson(request, "a web page")
    if not declared_json:
        return Content(text, declared_json)
    value, problem = _parse(text.encode())
    code = find_error_code(value)
    if code is not None:
        raise UnreadableResponse(request, f"an error object, {code}")
    return Content(value if isinstance(value, str) and not problem else text, declared_json)


def read_url(reply: HttpResponse, request: str) -> str:
    """Get the address of a recording's file (document, "Get Recording File": "Returns a URL string").

    Raises UnreadableResponse for anything that isn't one http or https URL.
    """
    url = read_content(reply, request).text.strip()
    if not url.lower().startswith(("http://", "https://")) or len(url.split()) != 1:
        raise UnreadableResponse(request, "not the URL of a recording" if url else "empty")
    return url


def _parse(body: bytes) -> tuple[object, str]:
    """Return the value and no problem, or no value and the problem, and leave no exception with the body."""
    body = body.removeprefix(_BOM)
    value, problem = _parse_strictly(body)
    if not problem or not _SURROGATE.search(body):
        return value, problem
    # A text cut through an emoji holds half of a surrogate pair, which JSON allows and orjson refuses.
    _, problem = _parse_strictly(_SURROGATE.sub(rb"\\ufffd", body))
    return (None, problem) if problem else _parse_surrogates(body)


def _parse_strictly(body: bytes) -> tuple[object, str]:
    try:
        return orjson.loads(body), ""
    except orjson.JSONDecodeError as error:
        return None, _TOO_DEEP if _DEPTH.search(error.msg) else _describe_junk(body)


def _parse_surrogates(body: bytes) -> tuple[object, str]:
    try:
        return json.loads(body), ""
    except RecursionError:
        return None, _TOO_DEEP


def _describe_junk(body: bytes) -> str:
    start = body.lstrip()[:1]
    if not start:
        return "empty"
    return "a web page" if start == b"<" else "not JSON"


def _describe(value: object) -> str:
    code = find_error_code(value)
    if code is not None:
        return f"an error object instead of an array, {code}"
    names = {type(None): "null", dict: "an object", str: "a string", bool: "true or false"}
    return f"{names.get(type(value), 'a number')} instead of an array"


def _read_type(reply: HttpResponse) -> str:
    return _read_content_type(reply).get_content_type()


def _read_charset(reply: HttpResponse) -> str | None:
    return _read_content_type(reply).get_content_charset()


def _read_content_type(reply: HttpResponse) -> Message:
    message = Message()
    message["Content-Type"] = reply.headers.get("Content-Type", "")
    return message


def _transcode(body: bytes, charset: str) -> bytes | None:
    try:
        return body.decode(charset).encode()
    except (LookupError, UnicodeError):
        return None


def _decode(body: bytes, charset: str | None) -> str:
    transcoded = None if charset is None else _transcode(body, charset)
    # What is neither in its declared charset nor in UTF-8 keeps all that can be read of it.
    return (body if transcoded is None else transcoded).removeprefix(_BOM).decode(errors="replace")
