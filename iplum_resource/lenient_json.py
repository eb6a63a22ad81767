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
_SEPARATORS = re.compile(r"[\s,]*")
# A longer integer, which is out of the range of floats, remains text, which is the same as an ID.
_MAX_DIGITS = 300


def parse_json(body: bytes) -> Any:
    """Parse JSON with bytes that are not UTF-8, control characters, NaN, infinity, or trailing commas.

    An element of an array that is still no JSON becomes a string, its text. Undecodable bytes become lone surrogates,
    NaN and numbers out of range become strings, and integers are exact.

    Raises:
        ValueError: The body is not JSON, is truncated, or no element of its array is an object.
        RecursionError: It is nested too deeply.

    """
    text = body.removeprefix(_BOM).decode(errors="surrogateescape")
    try:
        return _DECODER.decode(text)
    except ValueError:
        text = _TRAILING_COMMA.sub(lambda match: match[1] or "", text)
    try:
        return _DECODER.decode(text)
    except ValueError:
        elements = _parse_elements(text.strip())
    if not any(isinstance(element, dict) for element in elements):
        raise ValueError("no element is an object")
    return elements


def _parse_elements(array: str) -> list[Any]:
    """Parse the elements of an array one by one; one that is no JSON ends where the next object begins."""
    if len(array) < 2 or array[0] != "[" or array[-1] != "]":
        raise ValueError("not a whole array")
    end = len(array) - 1
    elements: list[Any] = []
    place = _skip_separators(array, 1)
    while place < end:
        element, after = _parse_element(array, place, end)
        elements.append(element)
        place = _skip_separators(array, after)
    return elements


def _parse_element(array: str, place: int, end: int) -> tuple[Any, int]:
    """Return an element and where it ends; its text up to the next object if it is no JSON."""
    try:
        element, after = _DECODER.raw_decode(array, place)
        # A whole object is one, whatever follows it.
        if isinstance(element, dict) or after == end or "," in array[after : _skip_separators(array, after)]:
            return element, after
    except ValueError:
        pass  # taken as text
    found = _NEXT_OBJECT.search(array, place)
    text = array[place : found.start() if found else end].rstrip()
    return text, place + len(text)


def _skip_separators(text: str, place: int) -> int:
    match = _SEPARATORS.match(text, place)
    return match.end() if match else place


def _parse_float(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _parse_int(text: str) -> int | str:
    return int(text) if len(text) <= _MAX_DIGITS else text


_DECODER = json.JSONDecoder(strict=False, parse_constant=str, parse_float=_parse_float, parse_int=_parse_int)
