"""The elements of a raw body: JSON, read leniently where a strict reader refuses, and a part at a time."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import orjson

_TOO_LARGE_FOR_64_BITS = 2.0**63
# Parsed, a record takes several times its bytes; so many bytes are parsed at a time.
_PIECE_BYTES = 4 << 20
_BETWEEN_OBJECTS = re.compile(rb"\}\s*(,)\s*\{")


@dataclass(frozen=True)
class JsonRecords:
    """The elements of a large body, parsed anew, piece by piece, each time they are gone through."""

    body: bytes = field(repr=False)

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(parse_json_records(self.body))


def parse_json_records(body: bytes) -> Iterator[list[Any]]:
    """Go through the elements of a body, which the client has found to be a JSON array, in pieces.

    A comma with an array on either side of it stands between two elements, so whatever the text, pieces that
    parse are the elements of the whole. What can't be cut, or a strict reader refuses, comes in one piece.
    """
    begin = 1
    if body[:1] == b"[":
        for comma in _find_commas(body):
            try:
                elements = orjson.loads(b"[" + body[begin:comma] + b"]")
            except orjson.JSONDecodeError:
                break  # the comma stands in a text
            yield elements
            begin = comma + 1
    yield load_records(body if begin == 1 else b"[" + body[begin:])


def _find_commas(body: bytes) -> Iterator[int]:
    place = _PIECE_BYTES
    while place < len(body) - _PIECE_BYTES // 2 and (found := _BETWEEN_OBJECTS.search(body, place)):
        yield found.start(1)
        place = found.start(1) + _PIECE_BYTES


def load_records(body: bytes) -> list[Any]:
    """Parse a raw body, which the client has found to be a JSON array."""
    try:
        records = orjson.loads(body)
    except orjson.JSONDecodeError:
        # orjson refuses lone surrogates, NaN and a byte order mark; the log keeps what the vendor sent
        text = body.decode("utf-8-sig")
        records = json.loads(text, parse_constant=str, parse_float=_parse_float, parse_int=_parse_integer)
    return records if isinstance(records, list) else [records]


def _parse_float(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _parse_integer(text: str) -> int | float | str:
    """Do as orjson, which makes a float of what 64 bits don't hold."""
    number = _parse_float(text)
    return int(text) if isinstance(number, float) and abs(number) < _TOO_LARGE_FOR_64_BITS else number
