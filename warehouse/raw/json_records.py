"""Parsing of raw bodies: lenient JSON, in chunks to bound memory."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import orjson

from warehouse.schema.tables import FOLDED_TABLES

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
_64_BITS = range(-(2**63), 2**64)
# Bytes parsed at a time: a parsed record takes several times its size.
_CHUNK_BYTES = 4 << 20
_DOCUMENTED = frozenset(column.field for table in FOLDED_TABLES for column in table.vendor_columns if column.field)
_BY_LOWER_CASE = {name.lower(): name for name in _DOCUMENTED}
_BETWEEN_OBJECTS = re.compile(rb"\}\s*(,)\s*\{")


@dataclass(frozen=True)
class JsonRecords:
    """The records of a large body, parsed again chunk by chunk at each iteration."""

    body: bytes = field(repr=False)

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(parse_json_records(self.body))


def parse_json_records(body: bytes) -> Iterator[list[Any]]:
    """Yield the records of a body in chunks. The client has checked that it is a JSON array.

    A comma with an object on either side may separate two records; if all chunks parse, it does. A body that
    cannot be split, or that only the lenient parser accepts, is one chunk.
    """
    begin = 1
    if body[:1] == b"[":
        for comma in _find_separators(body):
            try:
                records = orjson.loads(b"[" + body[begin:comma] + b"]")
            except orjson.JSONDecodeError:
                break  # the comma is inside a string
            chunk = _spell_as_documented(records)
            yield _load_leniently(b"[" + body[begin:comma] + b"]") if _has_rounded_id(chunk) else chunk
            begin = comma + 1
    yield load_records(body if begin == 1 else b"[" + body[begin:])


def _find_separators(body: bytes) -> Iterator[int]:
    place = _CHUNK_BYTES
    while place < len(body) - _CHUNK_BYTES // 2 and (found := _BETWEEN_OBJECTS.search(body, place)):
        yield found.start(1)
        place = found.start(1) + _CHUNK_BYTES


def load_records(body: bytes) -> list[Any]:
    """Parse a whole body leniently: one bad token costs at most its record, which is then a string.

    The client parses responses by the same rules (`iplum_resource.lenient_json`) and has checked that this one is a
    JSON array.
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _load_leniently(body)
    records = _spell_as_documented(parsed if isinstance(parsed, list) else [parsed])
    return _load_leniently(body) if _has_rounded_id(records) else records


def split_records(body: bytes) -> list[str]:
    """Return the text of each record of a body, with lone surrogates for bytes that are not UTF-8."""
    text = body.removeprefix(_BOM).decode(errors="surrogateescape").strip()
    return [text[begin:end] for _, begin, end in _parse_elements(text)]


def _has_rounded_id(records: list[Any]) -> bool:
    """Whether orjson has rounded an ID of more than 64 bits to a float."""
    return any(type(record) is dict and type(record.get("recordId")) is float for record in records)


def _load_leniently(body: bytes) -> list[Any]:
    parsed = _parse_leniently(body)
    records = _spell_as_documented(parsed if isinstance(parsed, list) else [parsed])
    return [_round_values(record) if type(record) is dict else record for record in records]


def _round_values(record: dict[str, Any]) -> dict[str, Any]:
    """Round integers of more than 64 bits as orjson does, but not the ID."""
    return {
        name: float(value) if type(value) is int and value not in _64_BITS and name != "recordId" else value
        for name, value in record.items()
    }


def _parse_leniently(body: bytes) -> Any:
    text = body.removeprefix(_BOM).decode(errors="surrogateescape")
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        text = text.strip()
    if text.startswith("{"):
        return _DECODER.decode(_TRAILING_COMMA.sub(_keep_string, text))
    return [element for element, _, _ in _parse_elements(text)]


def _parse_elements(array: str) -> Iterator[tuple[Any, int, int]]:
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


def _spell_as_documented(records: list[Any]) -> list[Any]:
    """Rename fields that differ from documented ones in case only (docs/iplum-api.md, "Gaps and contradictions")."""
    names = set[str]().union(*(record for record in records if type(record) is dict))
    documented = {name: _BY_LOWER_CASE[name.lower()] for name in names - _DOCUMENTED if name.lower() in _BY_LOWER_CASE}
    if not documented:
        return records
    return [_rename_fields(record, documented) if type(record) is dict else record for record in records]


def _rename_fields(record: dict[str, Any], documented: Mapping[str, str]) -> dict[str, Any]:
    # The documented spelling wins if a record has both.
    return {name if documented.get(name, name) in record else documented[name]: value for name, value in record.items()}


def _parse_float(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _parse_int(text: str) -> int | str:
    return int(text) if len(text) <= _MAX_DIGITS else text


_DECODER = json.JSONDecoder(strict=False, parse_constant=str, parse_float=_parse_float, parse_int=_parse_int)
