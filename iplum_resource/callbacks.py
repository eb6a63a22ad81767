"""What iPlum pushes: from a request's body to records, each without what must not be kept."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from iplum_resource.errors import UnreadableCallback

_REQUEST = "callback"
# The document's records are flat. What reads them again may stand deeper in calls than this does.
_DEEPEST = 50
# A larger number is read as a fraction, which tells no record from the next.
_EXACT_IDS = range(-(2**63), 2**64)
CallbackKind = Literal["usage", "recordings"]

# Whole, it is the address of a file, on whatever host: it opens a recording or a fax to whoever holds it.
_URL = re.compile(r"\s*[a-z][a-z0-9+.-]*://\S+\s*", re.IGNORECASE)


@dataclass(frozen=True)
class CallbackRecord:
    """One pushed record: `body` is its JSON object without `content`, `content` a text's words or None."""

    body: bytes = field(repr=False)
    content: str | None = field(repr=False)


def read_callback(body: bytes, kind: CallbackKind) -> list[CallbackRecord]:
    """Read what was pushed, one record or an array of them; raises `UnreadableCallback`.

    `content` is given apart where it holds the words of a text, so that whoever may not keep it need not; a file's
    address is dropped here ("Usage Callbacks", "Call Recording Callbacks": `content`). Raises for what is
    not JSON, is nested too deeply to be read again, or lacks a `recordId` in any record: then none is taken.
    """
    try:
        parsed = json.loads(body, parse_float=_parse_float, parse_constant=str)
    except (ValueError, RecursionError):
        raise UnreadableCallback(_REQUEST, "it is not JSON") from None
    elements = parsed if isinstance(parsed, list) else [parsed]
    return [_read_element(element, kind) for element in elements]


def _read_element(element: Any, kind: CallbackKind) -> CallbackRecord:
    if not isinstance(element, dict) or not _is_id(element.get("recordId")):
        raise UnreadableCallback(_REQUEST, "a record has no recordId")
    if _is_deeper(element, _DEEPEST):
        raise UnreadableCallback(_REQUEST, "it is nested too deeply")
    record = {name: value for name, value in element.items() if name.casefold() != "content"}
    content = element.get("content")
    is_text = kind == "usage" and str(record.get("usage")).strip().casefold() == "text"
    keeps = is_text and isinstance(content, str) and content != "" and not _URL.fullmatch(content)
    return CallbackRecord(json.dumps(record, separators=(",", ":")).encode(), content if keeps else None)


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)


def _is_id(value: Any) -> bool:
    if type(value) is str:
        # Half of a surrogate pair is no Unicode, which no table takes.
        return value.strip() != "" and not any("\ud800" <= letter <= "\udfff" for letter in value)
    return type(value) is int and value in _EXACT_IDS


def _parse_float(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text
