"""Derived columns: counterparty and its kind, length in bytes, and `extra`."""

import json
import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from warehouse.lake.normalize import OBJECT_COLUMNS, UNREAD
from warehouse.schema.tables import RECORDINGS, USAGE, Table

_KINDS = (
    ("phone", r"^\+?\(?[0-9][0-9 ().-]{5,}[0-9]$"),
    ("short_code", r"^[0-9]{3,6}$"),
    ("login", r"^[^@\s]+@[^@\s]+$"),
)
_SPACES = re.compile(r"(?<=[0-9])[ \u00a0\u2009\u202f'\u2019](?=[0-9]{3})")
_LENGTH = re.compile(r"(?P<amount>[0-9][0-9.,]{0,19})\s*(?P<unit>[kmgt]?b|[kmgt]ib|bytes?|)")
# The forms of a number, each with the character that groups its digits; a single dot is a decimal point.
_NUMBERS = (
    (re.compile(r"[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]+)?"), ","),
    (re.compile(r"[1-9][0-9]{0,2}((\.[0-9]{3}){2,}|(\.[0-9]{3})+,[0-9]+)"), "."),
    (re.compile(r"[0-9]+([.,][0-9]+)?"), ""),
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_TOO_LARGE = 2**63
_POWERS = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def derive_columns(rows: pa.Table, table: Table) -> pa.Table:
    """Add the derived columns to folded rows."""
    if table is USAGE:
        counterparty = _find_counterparties(rows)
        rows = rows.append_column("counterparty", counterparty)
        rows = rows.append_column("counterparty_kind", classify_parties(counterparty.combine_chunks()))
    elif table is RECORDINGS:
        texts = rows["length_text"].to_pylist()
        lengths = [None if text is None else parse_length(text) for text in texts]
        rows = rows.append_column("length_bytes", pa.array(lengths, pa.int64()))
        unread = [
            _join_objects(other, None if text is None or length is not None else json.dumps({"length": text}))
            for other, text, length in zip(rows[UNREAD].to_pylist(), texts, lengths, strict=True)
        ]
        rows = rows.set_column(rows.column_names.index(UNREAD), UNREAD, pa.array(unread, pa.string()))
    return rows.append_column("extra", _build_extra(rows))


def _find_counterparties(rows: pa.Table) -> pa.ChunkedArray:
    """Return the other party; without a known direction, the one that is not the user's login, else null."""
    user, sender, receiver = (pc.utf8_lower(rows[name]) for name in ("user_id", "from_party", "to_party"))
    is_inbound = pc.equal(rows["direction"], "in").fill_null(False)
    is_outbound = pc.equal(rows["direction"], "out").fill_null(False)
    is_known = pc.or_(is_inbound, is_outbound)
    takes_sender = pc.or_(is_inbound, pc.and_not(pc.equal(receiver, user).fill_null(False), is_known))
    takes_receiver = pc.or_(is_outbound, pc.and_not(pc.equal(sender, user).fill_null(False), is_known))
    return pc.case_when(pc.make_struct(takes_sender, takes_receiver), rows["from_party"], rows["to_party"])


def classify_parties(parties: pa.Array) -> pa.Array:
    """Return the kind of each party: `phone`, `login`, `short_code` or `other`, and null for null."""
    texts = parties.dictionary_encode()
    words = texts.dictionary
    kinds: pa.Array = pa.array(["other"] * len(words), pa.string())
    for kind, pattern in reversed(_KINDS):
        kinds = pc.if_else(pc.match_substring_regex(words, pattern), kind, kinds)
    return kinds.take(texts.indices)


def parse_length(text: str) -> int | None:
    """Parse a size such as `434.2 KB` into bytes (1 KB = 1024); None if it does not parse.

    The text is rounded, so the bytes are approximate (docs/iplum-api.md, "Get Recording Records").
    """
    match = _LENGTH.fullmatch(_SPACES.sub("", text.strip().lower()))
    amount = match["amount"] if match else ""
    for pattern, grouping in _NUMBERS:
        if match and pattern.fullmatch(amount):
            number = amount.replace(grouping, "") if grouping else amount
            size = round(float(number.replace(",", ".")) * 1024 ** _POWERS[match["unit"][:1]])
            return size if size < _TOO_LARGE else None
    return None


def _build_extra(rows: pa.Table) -> pa.Array:
    """Return one JSON object per row with undocumented fields, unparsed values and conflicting payloads, or null."""
    columns = [rows[name] for name in OBJECT_COLUMNS]
    if all(column.null_count == len(rows) for column in columns):
        return pa.nulls(len(rows), pa.string())
    pairs = zip(*(column.to_pylist() for column in columns), strict=True)
    return pa.array([_join_objects(*pair) for pair in pairs], pa.string())


def _join_objects(*texts: str | None) -> str | None:
    fields: dict[str, Any] = {}
    for text in texts:
        fields |= {} if text is None else json.loads(text)
    if not fields:
        return None
    # DuckDB rejects JSON with a lone surrogate, so its escape is written as six characters of text.
    text = json.dumps(fields, sort_keys=True, ensure_ascii=False)
    return _SURROGATE.sub(lambda match: f"\\\\u{ord(match[0]):04x}", text)
