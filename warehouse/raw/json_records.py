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

_TOO_LARGE_FOR_64_BITS = 2.0**63
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
            yield _spell_as_documented(records)
            begin = comma + 1
    yield load_records(body if begin == 1 else b"[" + body[begin:])


def _find_separators(body: bytes) -> Iterator[int]:
    place = _CHUNK_BYTES
    while place < len(body) - _CHUNK_BYTES // 2 and (found := _BETWEEN_OBJECTS.search(body, place)):
        yield found.start(1)
        place = found.start(1) + _CHUNK_BYTES


def load_records(body: bytes) -> list[Any]:
    """Parse a whole body leniently. The client has checked that it is a JSON array."""
    try:
        records = orjson.loads(body)
    except orjson.JSONDecodeError:
        # orjson rejects lone surrogates, NaN, control characters and a byte order mark
        text = body.decode("utf-8-sig")
        records = json.loads(text, strict=False, parse_constant=str, parse_float=_parse_float, parse_int=_parse_int)
    return _spell_as_documented(records if isinstance(records, list) else [records])


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


def _parse_int(text: str) -> int | float | str:
    """Parse an integer as orjson does: one that exceeds 64 bits becomes a float."""
    number = _parse_float(text)
    return int(text) if isinstance(number, float) and abs(number) < _TOO_LARGE_FOR_64_BITS else number
