"""Lenient parsing of JSON: one bad token costs at most its record.

The warehouse parses stored bodies by the same rules (`warehouse.raw.json_records`); a test keeps both equal.
"""

import json
import math
import re
from typing import Any

_BOM = b"\xef\xbb\xbf"
# A comma before a closing bracket, outside of strings.
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)
# The start of the next object. The element before the comma may be of any type.
_NEXT_OBJECT = re.compile(r",\s*(?=\{)")
# Letters decoded at a time, and the longest token that may be cut at their end.
_PART = 1 << 12
_LONGEST_TOKEN = 400
_SEPARATORS = re.compile(r"[\s,]*")
# A longer integer, which is out of the range of floats, remains text, which is the same as an ID.
_MAX_DIGITS = 300


def parse_json(body: bytes) -> Any:
    """Parse JSON with bytes that are not UTF-8, control characters, NaN, infinity, or trailing commas.

    An element of an array that is still not JSON becomes a string, its text. Undecodable bytes become lone surrogates,
    NaN and numbers out of range become strings, and integers are exact.

    Raises:
        ValueError: The body is not JSON, is truncated, or no element of its array is an object.
        RecursionError: It is nested too deeply.

    """
    text = body.removeprefix(_BOM).decode(errors="surrogateescape")
    failure: ValueError | RecursionError
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        failure = error
    text = text.strip()
    if text.startswith("{"):
        return _DECODER.decode(_TRAILING_COMMA.sub(_keep_string, text))
    elements = _parse_elements(text)
    if not any(isinstance(element, dict) for element in elements):
        raise failure
    return elements


def _parse_elements(array: str) -> list[Any]:
    """Parse the elements of an array one by one; one that is not JSON ends where the next object begins.

    Returns nothing if it is no whole array.
    """
    if len(array) < 2 or array[0] != "[" or array[-1] != "]":
        return []
    end = len(array) - 1
    elements: list[Any] = []
    place = _skip_separators(array, 1)
    while place < end:
        element, after = _parse_element(array, place, end)
        elements.append(element)
        place = _skip_separators(array, after)
    return elements


def _parse_element(array: str, place: int, end: int) -> tuple[Any, int]:
    """Return an element and where it ends; its text up to the next object if it is not JSON."""
    try:
        element, after = _decode_at(array, place)
        # A whole object is one, whatever follows it.
        if isinstance(element, dict) or after == end or "," in array[after : _skip_separators(array, after)]:
            return element, after
    except (ValueError, RecursionError):
        pass  # taken as text
    found = _NEXT_OBJECT.search(array, place)
    text = array[place : found.start() if found else end].rstrip()
    try:
        return _DECODER.decode(_TRAILING_COMMA.sub(_keep_string, text)), place + len(text)
    except (ValueError, RecursionError):
        return text, place + len(text)


def _decode_at(array: str, place: int) -> tuple[Any, int]:
    """Decode the value at a place, from a part of the array.

    The decoder's error counts the lines before it, so each error in a large array would take as long as the array.
    """
    size = _PART
    while True:
        part = array[place : place + size]
        is_last = place + size >= len(array)
        try:
            value, after = _DECODER.raw_decode(part)
            if is_last or after < len(part):
                return value, place + after
        except json.JSONDecodeError as error:
            is_cut = error.pos >= len(part) - _LONGEST_TOKEN or error.msg.startswith("Unterminated")
            if is_last or not is_cut:
                raise
        size *= 8


def _keep_string(match: re.Match[str]) -> str:
    return match[1] or ""


def _skip_separators(text: str, place: int) -> int:
    match = _SEPARATORS.match(text, place)
    return match.end() if match else place


def _parse_float(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _parse_int(text: str) -> int | str:
    return int(text) if len(text) <= _MAX_DIGITS else text


_DECODER = json.JSONDecoder(strict=False, parse_constant=str, parse_float=_parse_float, parse_int=_parse_int)
