"""Parsing of raw bodies: lenient JSON, in chunks to bound memory."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import orjson

from warehouse.raw.lenient_json import decode_body, parse_elements, parse_value
from warehouse.schema.tables import FOLDED_TABLES

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

    The client has checked that it is a JSON array.
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _load_leniently(body)
    records = _spell_as_documented(parsed if isinstance(parsed, list) else [parsed])
    return _load_leniently(body) if _has_rounded_id(records) else records


def split_records(body: bytes) -> list[str]:
    """Return the text of each record of a body, with lone surrogates for bytes that are not UTF-8."""
    text = decode_body(body).strip()
    return [text[begin:end] for _, begin, end in parse_elements(text)]


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
    text = decode_body(body)
    try:
        return parse_value(text)
    except (ValueError, RecursionError):
        if text.lstrip().startswith("{"):
            raise
        return [element for element, _, _ in parse_elements(text.strip())]


def _spell_as_documented(records: list[Any]) -> list[Any]:
    """Rename fields that differ from documented ones in case only (docs/iplum-api.md, "Gaps and contradictions")."""
    names = set[str]().union(*(record for record in records if type(record) is dict))
    documented = {name: _BY_LOWER_CASE[name.lower()] for name in names - _DOCUMENTED if name.lower() in _BY_LOWER_CASE}
    if not documented:
        return records
    return [_rename_fields(record, documented) if type(record) is dict else record for record in records]


def _rename_fields(record: dict[str, Any], documented: Mapping[str, str]) -> dict[str, Any]:
    """Rename a record's fields. Of several spellings, the documented one wins, then the first by name; null never does.

    The others keep their names, as undocumented fields do.
    """
    renamed = {name: value for name, value in record.items() if name not in documented}
    for name in sorted(record.keys() & documented.keys()):
        is_free = renamed.get(documented[name]) is None
        renamed[documented[name] if is_free else name] = record[name]
    return renamed
