"""Lenient parsing of JSON: one bad token costs at most its record.

The warehouse reads stored bodies by these rules. `pipelines` gives `parse_json` to the client and the receiver too, so
that they accept the same.
"""

import json
import math
import re
from collections.abc import Iterator
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
    text = decode_body(body)
    try:
        return parse_value(text)
    except (ValueError, RecursionError):
        array = text.strip()
        is_whole = len(array) > 1 and array[0] == "[" and array[-1] == "]"
        elements = [element for element, _, _ in parse_elements(array)] if is_whole else []
        if not any(isinstance(element, dict) for element in elements):
            raise
        return elements


def decode_body(body: bytes) -> str:
    """Decode a body, with lone surrogates for bytes that are not UTF-8, and without a byte order mark."""
    return body.removeprefix(_BOM).decode(errors="surrogateescape")


def parse_value(text: str) -> Any:
    """Parse one value; an object may have trailing commas. Raises `ValueError` and `RecursionError`."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        text = text.strip()
        if not text.startswith("{"):
            raise
    return _DECODER.decode(_TRAILING_COMMA.sub(_keep_string, text))


def parse_elements(array: str) -> Iterator[tuple[Any, int, int]]:
    """Yield the elements of an array, each with its place; one that is not JSON ends where the next object begins."""
    end = len(array) - 1
    place = _skip_separators(array, 1)
    while place < end:
        element, after = _parse_element(array, place, end)
        yield element, place, after
        place = _skip_separators(array, after)


def _parse_element(array: str, place: int, end: int) -> tuple[Any, int]:
    """Return an element and where it ends; its text up to the next object if it is not JSON."""
    try:
        element, after = _decode_at(array, place)
        # Other text after an object: it is quoted in a text that is not JSON, and no element of the array.
        following = _skip_separators(array, after)
        is_followed = isinstance(element, dict) and array[following : following + 1] == "{"
        if is_followed or after == end or "," in array[after:following] or following == end:
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
