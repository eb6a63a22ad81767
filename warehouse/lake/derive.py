"""Columns computed from a record's own columns: the counterparty and its kind, a length in bytes, `extra`."""

from __future__ import annotations

import json
import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from warehouse.lake.normalize import UNKNOWN, UNREAD
from warehouse.schema.tables import RECORDINGS, USAGE, Table

_KINDS = (
    ("phone", r"^\+?\(?[0-9][0-9 ().-]{5,}[0-9]$"),
    ("short_code", r"^[0-9]{3,6}$"),
    ("login", r"^[^@\s]+@[^@\s]+$"),
)
_LENGTH = r"(?i)^(?P<amount>[0-9]{1,12}(?:\.[0-9]{1,6})?)[\s\pZ]*(?P<unit>[KMG]?B|bytes)$"
_HALF_LETTER = re.compile("[\ud800-\udfff]")
_TOO_LARGE = 2.0**63
_BYTES_PER_UNIT = {"b": 1, "bytes": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}


def derive_columns(rows: pa.Table, table: Table) -> pa.Table:
    """Add to folded rows the columns that follow from the others."""
    if table is USAGE:
        came_in = pc.equal(rows["direction"], "in").fill_null(False)
        counterparty = pc.if_else(came_in, rows["from_party"], rows["to_party"])
        rows = rows.append_column("counterparty", counterparty)
        rows = rows.append_column("counterparty_kind", party_kinds(counterparty.combine_chunks()))
    elif table is RECORDINGS:
        rows = rows.append_column("length_bytes", lengths_in_bytes(rows["length_text"].combine_chunks()))
    return rows.append_column("extra", _extras(rows))


def party_kinds(parties: pa.Array) -> pa.Array:
    """Say of each party whether it is a `phone`, `login`, `short_code` or `other`; null stays null."""
    texts = parties.dictionary_encode()
    words = texts.dictionary
    kinds: pa.Array = pa.array(["other"] * len(words), pa.string())
    for kind, pattern in reversed(_KINDS):
        kinds = pc.if_else(pc.match_substring_regex(words, pattern), kind, kinds)
    return kinds.take(texts.indices)


def lengths_in_bytes(lengths: pa.Array) -> pa.Array:
    """Read sizes as the vendor words them (`434.2 KB`), 1 KB being 1024 bytes; null where it doesn't read.

    Source: "Get Recording Records", response field `length`; the text is rounded, so the bytes are approximate.
    """
    parts = pc.extract_regex(pc.utf8_trim_whitespace(lengths), _LENGTH)
    amounts = pc.struct_field(parts, "amount").cast(pa.float64())
    units = pc.index_in(pc.utf8_lower(pc.struct_field(parts, "unit")), pa.array(_BYTES_PER_UNIT))
    factors = pa.array(_BYTES_PER_UNIT.values(), pa.float64()).take(units)
    sizes = pc.round(pc.multiply(amounts, factors))
    return pc.if_else(pc.less(sizes, _TOO_LARGE), sizes, None).cast(pa.int64())


def _extras(rows: pa.Table) -> pa.Array:
    """Join what the document doesn't name and what didn't read, mostly nothing, to one JSON object a row."""
    columns = rows[UNKNOWN], rows[UNREAD]
    if all(column.null_count == len(rows) for column in columns):
        return pa.nulls(len(rows), pa.string())
    pairs = zip(*(column.to_pylist() for column in columns), strict=True)
    return pa.array([_join_objects(*pair) for pair in pairs], pa.string())


def _join_objects(*texts: str | None) -> str | None:
    fields: dict[str, Any] = {}
    for text in texts:
        fields |= {} if text is None else json.loads(text)
    written = json.dumps(fields, sort_keys=True, ensure_ascii=False) if fields else None
    # DuckDB reads no JSON with half a surrogate pair in it: the six characters of its escape stand there instead.
    return written and _HALF_LETTER.sub(lambda half: f"\\\\u{ord(half[0]):04x}", written)
