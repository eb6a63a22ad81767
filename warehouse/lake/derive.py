"""Derived columns: counterparty and its kind, length in bytes, and `extra`."""

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
_SURROGATE = re.compile("[\ud800-\udfff]")
_TOO_LARGE = 2.0**63
_BYTES_PER_UNIT = {"b": 1, "bytes": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}


def derive_columns(rows: pa.Table, table: Table) -> pa.Table:
    """Add the derived columns to folded rows."""
    if table is USAGE:
        is_inbound = pc.equal(rows["direction"], "in").fill_null(False)
        counterparty = pc.if_else(is_inbound, rows["from_party"], rows["to_party"])
        rows = rows.append_column("counterparty", counterparty)
        rows = rows.append_column("counterparty_kind", classify_parties(counterparty.combine_chunks()))
    elif table is RECORDINGS:
        rows = rows.append_column("length_bytes", parse_lengths(rows["length_text"].combine_chunks()))
    return rows.append_column("extra", _extras(rows))


def classify_parties(parties: pa.Array) -> pa.Array:
    """Return the kind of each party: `phone`, `login`, `short_code` or `other`; null stays null."""
    texts = parties.dictionary_encode()
    words = texts.dictionary
    kinds: pa.Array = pa.array(["other"] * len(words), pa.string())
    for kind, pattern in reversed(_KINDS):
        kinds = pc.if_else(pc.match_substring_regex(words, pattern), kind, kinds)
    return kinds.take(texts.indices)


def parse_lengths(lengths: pa.Array) -> pa.Array:
    """Parse sizes such as `434.2 KB` into bytes (1 KB = 1024); null if they do not parse.

    The text is rounded, so the bytes are approximate (docs/iplum-api.md, "Get Recording Records").
    """
    parts = pc.extract_regex(pc.utf8_trim_whitespace(lengths), _LENGTH)
    amounts = pc.struct_field(parts, "amount").cast(pa.float64())
    units = pc.index_in(pc.utf8_lower(pc.struct_field(parts, "unit")), pa.array(_BYTES_PER_UNIT))
    factors = pa.array(_BYTES_PER_UNIT.values(), pa.float64()).take(units)
    sizes = pc.round(pc.multiply(amounts, factors))
    return pc.if_else(pc.less(sizes, _TOO_LARGE), sizes, None).cast(pa.int64())


def _extras(rows: pa.Table) -> pa.Array:
    """Return one JSON object per row with undocumented fields and unparsed values, or null."""
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
    # DuckDB rejects JSON with a lone surrogate, so its escape is written as six characters of text.
    return written and _SURROGATE.sub(lambda half: f"\\\\u{ord(half[0]):04x}", written)
