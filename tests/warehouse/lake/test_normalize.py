"""Normalization: valid and invalid values, and preservation of all values."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.raw_responses import call, to_list
from warehouse.lake.columns import TEXTS
from warehouse.lake.derive import classify_parties, parse_length
from warehouse.lake.normalize import NormalizedResponse, normalize_response
from warehouse.raw.json_records import load_records
from warehouse.schema.tables import RECORDINGS, USAGE

FIXTURES = Path(__file__).parents[2] / "fixtures"


def normalize(*records: Any) -> NormalizedResponse:
    return normalize_response(json.dumps(records).encode(), USAGE)


def row(record: dict[str, Any]) -> dict[str, Any]:
    frame = normalize(record).frame
    return {str(name): None if _is_null(value) else value for name, value in frame.iloc[0].items()}


def _is_null(value: object) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and value != value)


def test_documented_sample_parses() -> None:
    normalized = normalize_response((FIXTURES / "usage.json").read_bytes(), USAGE)
    first = normalized.frame.iloc[0]
    assert first["record_id"] == "0UmFAs73cwKbyqUtmz7ltLI.nGlAD.0Dgjdhpm"
    assert (first["channel"], first["type"], first["direction"]) == ("call", "external", "in")
    assert first["started_at"] == pd.Timestamp("2023-03-24T00:00:00Z")
    assert (first["duration_minutes"], first["credits"]) == (2.0, 2.0)
    assert first["unknown"] is None
    assert first["unread"] is None


def test_unusual_records_are_parsed_and_unreadable_ones_counted() -> None:
    normalized = normalize_response((FIXTURES / "usage.json").read_bytes(), USAGE)
    assert list(normalized.frame["record_id"]) == ["0UmFAs73cwKbyqUtmz7ltLI.nGlAD.0Dgjdhpm", "text-1", "7"]
    assert len(normalized.unreadable) == 5
    text, fax = normalized.frame.iloc[1], normalized.frame.iloc[2]
    assert (text["channel"], text["direction"]) == ("text", "out")
    assert text["started_at"] == pd.Timestamp("2023-03-24T08:15:30.5Z")
    assert text["ended_at"] == pd.Timestamp("2023-03-24T08:15:31Z")
    assert text["duration_minutes"] == 1.0
    assert text["credits"] == 0.0
    assert text["unknown"] == {"newField": {"a": 1}}
    assert fax["unread"] == {"startTimeUTC": "24/03/2023", "endTimeUTC": "0001-01-01T00:00:00Z", "duration": "two"}
    assert fax["unknown"] is None, "a body or media URL must not reach these tables"


def test_recording_lengths_parse() -> None:
    frame = normalize_response((FIXTURES / "recordings.json").read_bytes(), RECORDINGS).frame
    assert list(frame["duration_minutes"]) == [3.0, 0.5, 1.0]
    assert [parse_length(text) for text in frame["length_text"]] == [
        round(434.2 * 1024),
        round(1.5 * 1024 * 1024),
        None,
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("+14081231234", "phone"),
        ("+1 (408) 123-1234", "phone"),
        ("72975", "short_code"),
        ("test@iplum.com", "login"),
        ("Anonymous", "other"),
        (None, None),
    ],
)
def test_party_kinds(text: str | None, kind: str | None) -> None:
    assert to_list(classify_parties(pd.Series([text], dtype=TEXTS))) == [kind]


@pytest.mark.parametrize(
    ("field", "value", "column", "expected"),
    [
        ("duration", " 3 ", "duration_minutes", 3.0),
        ("duration", 3, "duration_minutes", 3.0),
        ("duration", "1e3", "duration_minutes", None),
        ("duration", "nan", "duration_minutes", None),
        ("duration", True, "duration_minutes", None),
        ("duration", "-1.5", "duration_minutes", -1.5),
        ("iPlumCredits", "4", "credits", 4.0),
        ("iPlumCredits", 2.5, "credits", 2.5),
        ("iPlumCredits", [1], "credits", None),
        ("usage", " CALL", "channel", "call"),
        ("usage", "phone call", "channel", None),
        ("from", 14081231234, "from_party", "14081231234"),
        ("from", "", "from_party", ""),
        ("from", "a\x00b", "from_party", "a\x00b"),
        ("from", "\u202e4321", "from_party", "\u202e4321"),
        ("from", "\ud83d", "from_party", None),
        ("from", {"x": 1}, "from_party", None),
        ("startTimeUTC", "2023-03-24T00:00:00.123456Z", "started_at", pd.Timestamp("2023-03-24T00:00:00.123456Z")),
        ("startTimeUTC", "2023-03-24T00:00:00", "started_at", pd.Timestamp("2023-03-24T00:00:00Z")),
        ("startTimeUTC", "9999-12-31T00:00:00Z", "started_at", None),
        ("startTimeUTC", "1999-12-31T23:59:59Z", "started_at", None),
        ("startTimeUTC", "2023-02-30T00:00:00Z", "started_at", None),
        ("startTimeUTC", 1679616000, "started_at", None),
        ("startTimeUTC", "", "started_at", None),
    ],
)
@pytest.mark.parametrize("others", [(), (call("other"),)], ids=["alone", "with another record"])
def test_parsed_values(field: str, value: Any, column: str, expected: Any, others: tuple[dict[str, Any], ...]) -> None:
    frame = normalize(call(**{field: value}), *others).frame
    found = frame[column].iloc[0]
    assert (None if _is_null(found) else found) == expected
    unread = frame["unread"].iloc[0]
    assert unread == ({field: value} if expected is None else None)


def test_byte_order_mark_and_nan_are_accepted() -> None:
    assert load_records(b'\xef\xbb\xbf[{"recordId":"a"}]') == [{"recordId": "a"}]
    assert load_records(b'[{"duration":NaN}]') == [{"duration": "NaN"}]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
records = st.dictionaries(
    st.sampled_from([*(c.field or "" for c in USAGE.vendor_columns), "content", "new"]), anything, max_size=8
)


@settings(deadline=None)
@given(st.lists(records | anything, max_size=6))
@example([{"recordId": "a", "iPlumCredits": 10**30}, {"recordId": 10**30}])
def test_each_record_is_a_row_or_counted_and_no_value_is_lost(drawn: list[Any]) -> None:
    body = json.dumps(drawn).encode()
    normalized = normalize_response(body, USAGE)
    assert len(normalized.frame) + len(normalized.unreadable) == len(drawn)
    readable = [record for record in load_records(body) if isinstance(record, dict) and _has_id(record)]
    assert len(readable) == len(normalized.frame)
    for record, (_, row) in zip(readable, normalized.frame.iterrows(), strict=True):
        for column in USAGE.vendor_columns:
            value = record.get(str(column.field))
            if value is not None and _is_null(row[column.name]):
                assert column.field in (row["unread"] or {}), f"{column.field}={value!r} is lost"
        assert "content" not in (row["unknown"] or {})


def _has_id(record: dict[str, Any]) -> bool:
    value = record.get("recordId")
    is_storable = isinstance(value, str) and value != "" and not any("\ud800" <= c <= "\udfff" for c in value)
    return is_storable or (isinstance(value, int) and not isinstance(value, bool))
