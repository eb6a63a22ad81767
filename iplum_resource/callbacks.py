"""Parsing of callbacks (docs/iplum-api.md, "Usage Callbacks").

The HTTP receiver lives in `pipelines.receiver`.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from iplum_resource.errors import UnreadableCallback
from iplum_resource.fields import get_field, is_record_id
from iplum_resource.http.responses import JsonParser

_REQUEST = "callback"
# iPlum's records are flat. Later parsers may have less stack left than this one.
_MAX_DEPTH = 50
CallbackKind = Literal["usage", "recordings"]

# A content that is one URL grants access to a recording or fax, on any host.
_URL = re.compile(r"\s*[a-z][a-z0-9+.-]*://\S+\s*", re.IGNORECASE)


@dataclass(frozen=True)
class CallbackRecord:
    """One record of a callback: its JSON object without `content`, and the text of the message or None."""

    body: bytes = field(repr=False)
    content: str | None = field(repr=False)


def parse_callback(body: bytes, kind: CallbackKind, *, parse_json: JsonParser = json.loads) -> list[CallbackRecord]:
    """Parse the body of a callback: one record or an array of records.

    The text of a message is returned apart, so that it can be dropped; the URL of a file is dropped here.

    Raises:
        UnreadableCallback: The body is not JSON, is nested too deeply, or a record has no `recordId`. Then no
            record is accepted.

    """
    try:
        parsed = parse_json(body)
    except (ValueError, RecursionError):
        raise UnreadableCallback(_REQUEST, "it is not JSON") from None
    records = parsed if isinstance(parsed, list) else [parsed]
    return [_parse_record(value, kind) for value in records]


def _parse_record(value: Any, kind: CallbackKind) -> CallbackRecord:
    if not isinstance(value, dict) or not is_record_id(get_field(value, "recordId")):
        raise UnreadableCallback(_REQUEST, "a record has no recordId")
    if _is_deeper(value, _MAX_DEPTH):
        raise UnreadableCallback(_REQUEST, "it is nested too deeply")
    record = {name: value for name, value in value.items() if name.casefold() != "content"}
    content = get_field(value, "content")
    is_text = kind == "usage" and str(get_field(record, "usage")).strip().casefold() == "text"
    keeps = is_text and isinstance(content, str) and content != "" and not _URL.fullmatch(content)
    return CallbackRecord(json.dumps(record, separators=(",", ":")).encode(), content if keeps else None)


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)
