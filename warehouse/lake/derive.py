"""Derived columns: counterparty and its kind, length in bytes, and `extra`."""

import json
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from warehouse.lake.columns import INTEGERS, TEXTS, repeat_value
from warehouse.lake.normalize import CONFLICTS, OBJECT_COLUMNS, UNKNOWN, UNREAD
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


def derive_columns(rows: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Add the derived columns to folded rows."""
    if table is USAGE:
        counterparty = _find_counterparties(rows)
        rows = rows.assign(counterparty=counterparty, counterparty_kind=classify_parties(counterparty))
    elif table is RECORDINGS:
        texts = rows["length_text"]
        lengths = [None if pd.isna(text) else parse_length(text) for text in texts]
        rows = rows.assign(length_bytes=pd.Series(lengths, index=rows.index, dtype=INTEGERS))
        for row in rows.index[texts.notna() & rows["length_bytes"].isna()]:
            rows.loc[row, UNREAD] = _join_objects([rows.loc[row, UNREAD], json.dumps({"length": texts[row]})])
    return rows.assign(extra=_build_extra(rows))


def _find_counterparties(rows: pd.DataFrame) -> pd.Series:
    """Return the other party; without a known direction, the one that is not the user's login, else null."""
    parties = rows["from_party"].where(rows["direction"] == "in", rows["to_party"])
    is_known = rows["direction"].isin(["in", "out"])
    if is_known.all():
        return parties
    user, sender, receiver = (rows[name].str.lower() for name in ("user_id", "from_party", "to_party"))
    other = rows["to_party"].where((sender == user).fillna(False))
    return parties.where(is_known, rows["from_party"].where((receiver == user).fillna(False), other))


def classify_parties(parties: pd.Series) -> pd.Series:
    """Return the kind of each party: `phone`, `login`, `short_code` or `other`, and null for null."""
    # Each is classified once: there are few.
    codes, distinct = parties.factorize()
    words = pd.Series(distinct, dtype=TEXTS)
    is_kind = [words.str.contains(pattern).to_numpy(bool) for _, pattern in _KINDS]
    kinds = pd.Series(np.select(is_kind, [kind for kind, _ in _KINDS], "other"), dtype=TEXTS).array
    return pd.Series(kinds.take(codes, allow_fill=True), index=parties.index)


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


def _build_extra(rows: pd.DataFrame) -> pd.Series:
    """Return one JSON object per row with undocumented fields, unparsed values and conflicting payloads, or null."""
    has_objects = rows[UNKNOWN].notna() | rows[UNREAD].notna() | rows[CONFLICTS].notna()
    if not has_objects.any():
        return pd.Series(repeat_value(None, TEXTS, len(rows)), index=rows.index)
    objects = rows.loc[has_objects, list(OBJECT_COLUMNS)]
    texts = [_join_objects(texts) for texts in objects.itertuples(index=False)]
    return pd.Series(texts, index=objects.index, dtype=TEXTS).reindex(rows.index)


def _join_objects(texts: Iterable[Any]) -> str | None:
    fields: dict[str, Any] = {}
    for text in texts:
        fields |= {} if pd.isna(text) else json.loads(text)
    if not fields:
        return None
    # DuckDB rejects JSON with a lone surrogate, so its escape is written as six characters of text.
    text = json.dumps(fields, sort_keys=True, ensure_ascii=False)
    return _SURROGATE.sub(lambda match: f"\\\\u{ord(match[0]):04x}", text)
