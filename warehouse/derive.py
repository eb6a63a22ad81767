"""Columns computed from a record's own columns: the counterparty and its kind, a length in bytes, `extra`.

Belongs here: pure functions over folded rows. Does not belong here: reading (`normalize`), several answers
(`fold`), and what needs other rows (the marts).
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from warehouse.normalize import UNKNOWN, UNREAD
from warehouse.schemas import USAGE, Table

_KINDS = (
    ("phone", r"^\+?\(?[0-9][0-9 ().-]{5,}[0-9]$"),
    ("short_code", r"^[0-9]{3,6}$"),
    ("login", r"^[^@\s]+@[^@\s]+$"),
)
_LENGTH = r"(?i)^(?P<amount>[0-9]{1,12}(?:\.[0-9]{1,6})?)[\s\pZ]*(?P<unit>[KMG]?B|bytes)$"
_TOO_LARGE = 2.0**63
_BYTES_PER_UNIT = {"b": 1, "bytes": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}


def derive_columns(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Add to folded rows the columns that follow from the others; the frame given is left as it was."""
    derived = frame.copy(deep=False)
    if table is USAGE:
        counterparty = frame["from_party"].where(frame["direction"] == "in", frame["to_party"])
        derived["counterparty"] = counterparty
        derived["counterparty_kind"] = party_kinds(counterparty)
    else:
        derived["length_bytes"] = lengths_in_bytes(frame["length_text"])
    derived["extra"] = None
    odd = frame[UNKNOWN].notna() | frame[UNREAD].notna()
    if odd.any():
        fields = zip(frame.loc[odd, UNKNOWN], frame.loc[odd, UNREAD], strict=True)
        derived.loc[odd, "extra"] = [_extra({**(unknown or {}), **(unread or {})}) for unknown, unread in fields]
    return derived


def party_kinds(parties: pd.Series[Any]) -> pd.Series[Any]:
    """Say of each party whether it is a `phone`, `login`, `short_code` or `other`; null stays null."""
    # One chunk, as several have a dictionary each.
    texts = pa.Table.from_pandas(parties.to_frame("party"), preserve_index=False)["party"].combine_chunks()
    texts = texts.cast(pa.string()).dictionary_encode()
    words = texts.dictionary
    kinds: pa.Array = pa.array(["other"] * len(words), pa.string())
    for kind, pattern in reversed(_KINDS):
        kinds = pc.if_else(pc.match_substring_regex(words, pattern), kind, kinds)
    return pd.Series(kinds.take(texts.indices), index=parties.index, dtype="str")


def lengths_in_bytes(lengths: pd.Series[Any]) -> pd.Series[Any]:
    """Read sizes as the vendor words them (`434.2 KB`), 1 KB being 1024 bytes; null where it doesn't read.

    Source: "Get Recording Records", response field `length`; the text is rounded, so the bytes are approximate.
    """
    parts = pc.extract_regex(pc.utf8_trim_whitespace(pa.array(lengths, pa.string())), _LENGTH)
    amounts = pc.struct_field(parts, "amount").cast(pa.float64())
    units = pc.index_in(pc.utf8_lower(pc.struct_field(parts, "unit")), pa.array(_BYTES_PER_UNIT))
    factors = pa.array(_BYTES_PER_UNIT.values(), pa.float64()).take(units)
    sizes = pd.Series(pc.round(pc.multiply(amounts, factors)).to_pandas(), index=lengths.index)
    return sizes.where(sizes < _TOO_LARGE).astype("Int64")


def _extra(fields: dict[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True)
