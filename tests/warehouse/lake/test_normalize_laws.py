"""Properties of normalization: records are parsed independently, and no value fails a window."""

import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.raw_responses import call, to_list
from warehouse.lake.derive import derive_columns, parse_length
from warehouse.lake.normalize import normalize_records, normalize_response
from warehouse.raw.json_records import load_records, parse_json_records
from warehouse.schema.tables import RECORDINGS, USAGE, Table

numbers = st.sampled_from(
    [2, 2.5, True, "2", " 2 ", "2.123456789", 0.1234567890123, 1e15, 1e300, 10**15, 10**30, -1e14, "1e3", "", None]
)
instants = st.sampled_from(
    [
        "2023-03-24T00:00:00Z",
        "2023-03-24T00:00:00.123Z",
        "2023-03-24T00:00:00.123456789Z",
        "2023-03-24 00:00:00",
        "2023-03-24T00Z",
        "2023-03-24T00:00Z",
        "2023-03-24T0015Z",
        "2023-03-24T00:00:00+02",
        "2023-03-24T00:00:00+02:00",
        "2023-03-24T00:00:00+99:99",
        "2023-03-24T24:00:00Z",
        "2023-03-24T23:59:60Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "soon",
        "",
        0,
        None,
    ]
)
texts: st.SearchStrategy[Any] = st.sampled_from(
    ["a", "", " A ", "\ufeff", "a\x00", "\ud800", "\u202e", "a b", 1, 1.0, 1.5, 1e-7, True, [], None]
)
records = st.builds(
    call,
    st.sampled_from(["a", "b", 1, 10**20]),
    instants,
    endTimeUTC=instants,
    duration=numbers,
    iPlumCredits=numbers,
    usage=texts,
    userId=texts,
)


def parse(drawn: list[Any], table: Table = USAGE) -> list[dict[str, str]]:
    normalized = normalize_records(load_records(json.dumps(drawn).encode()), table)
    frame = derive_columns(normalized.rows, table)
    return [{str(name): repr(None if _is_null(v) else v) for name, v in row.items()} for _, row in frame.iterrows()]


def _is_null(value: object) -> bool:
    return value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and value != value)


@settings(max_examples=60, deadline=None)
@given(st.lists(records, min_size=2, max_size=4))
@example([call(iPlumCredits=2), call(iPlumCredits=True)])
@example([call(iPlumCredits=2.5), call(iPlumCredits=True)])
@example([call(iPlumCredits=1e300), call(iPlumCredits="x")])
@example([call(iPlumCredits=0.1234567890123), call(iPlumCredits="x")])
@example([call(start="2023-03-24T00Z"), call(start="soon")])
def test_records_are_parsed_independently(drawn: list[Any]) -> None:
    assert parse(drawn) == [row for record in drawn for row in parse([record])]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("434.2 KB", 444621),
        ("1kb", 1024),
        (" 2 MB ", 2 * 1024**2),
        ("12 bytes", 12),
        ("0 B", 0),
        ("8589934591 GB", 8589934591 * 1024**3),
        ("8589934592 GB", None),
        ("999999999999 GB", None),
        ("1,5 MB", 1572864),
        ("1,234 KB", 1234 * 1024),
        ("1,234.5 KB", round(1234.5 * 1024)),
        ("1.234,5 KB", round(1234.5 * 1024)),
        ("1.234.567 B", 1234567),
        ("1.234 MB", round(1.234 * 1024**2)),
        ("0,123 KB", round(0.123 * 1024)),
        ("1 024 KB", 1024**2),
        ("1\u00a0024,5 KB", round(1024.5 * 1024)),
        ("1\u2019024 KB", 1024**2),
        ("1 02 KB", None),
        ("434.2 KiB", 444621),
        ("2 TB", 2 * 1024**4),
        ("2048", 2048),
        ("1,23,4 KB", None),
        ("12 parsecs", None),
        ("-1 KB", None),
        ("nan KB", None),
    ],
)
def test_length_parses_or_is_null(text: str, size: int | None) -> None:
    assert parse_length(text) == size


@settings(deadline=None)
@given(st.lists(st.fixed_dictionaries({"recordId": st.just("a"), "length": st.text(max_size=12)}), max_size=3))
@example([{"recordId": "a", "length": "999999999999 GB"}])
def test_no_length_fails_a_window(drawn: list[Any]) -> None:
    assert len(parse(drawn, RECORDINGS)) == len(drawn)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "Infinity"])
def test_number_out_of_range_is_kept_as_text(number: str) -> None:
    body = f'[{{"recordId":"a","iPlumCredits":{number},"new":{number}}}]'.encode()
    assert load_records(body)[0]["new"] == number
    (extra,) = derive_columns(normalize_response(body, USAGE).rows, USAGE)["extra"]
    assert json.loads(extra, parse_constant=pytest.fail) == {"iPlumCredits": number, "new": number}


def test_large_body_parses_the_same_in_chunks_and_at_once() -> None:
    texts = ("é", "},{", "} , {", "]},{[")
    rows = [call(f"r-{number}", **{"from": texts[0 if number % 997 else number % 4]}) for number in range(50_000)]
    rows[123], rows[49_000], rows[49_001] = {"recordId": ""}, call("new", new=[{}, {}]), call("cut", to="\ud83d")
    body = json.dumps(rows).encode()
    assert len(body) > 12 * 2**20
    chunked, whole = normalize_response(body, USAGE), normalize_records(load_records(body), USAGE)
    assert sum(1 for _ in parse_json_records(body)) > 1
    pd.testing.assert_frame_equal(chunked.rows, whole.rows)
    assert (list(chunked.unreadable), list(chunked.positions)) == ([123], list(whole.positions))
    assert list(chunked.records) == list(whole.records)


def test_a_length_that_does_not_parse_is_in_extra() -> None:
    rows = normalize_records(
        [{"recordId": "a", "length": "12 parsecs"}, {"recordId": "b", "length": "1 KB"}], RECORDINGS
    )
    derived = derive_columns(rows.rows, RECORDINGS)
    assert to_list(derived["extra"]) == ['{"length": "12 parsecs"}', None]


def test_field_names_match_in_any_case() -> None:
    record = {"RecordID": "a", "starttimeutc": "2023-01-02T09:00:00Z", "Duration": "4", "phonenumber": "1"}
    frame = normalize_response(json.dumps([record, call("b")]).encode(), USAGE).frame
    assert list(frame["record_id"]) == ["a", "b"]
    assert (frame["duration_minutes"][0], str(frame["started_at"][0])) == (4.0, "2023-01-02 09:00:00+00:00")


def test_a_field_in_the_documented_spelling_wins() -> None:
    frame = normalize_response(b'[{"recordId":"a","duration":"4","Duration":"5"}]', USAGE).frame
    assert frame["duration_minutes"][0] == 4.0
    assert frame["unknown"][0] == {"Duration": "5"}


@pytest.mark.parametrize(
    ("direction", "stored", "counterparty"),
    [
        ("inbound", "in", "them"),
        ("Incoming", "in", "them"),
        ("OUTGOING", "out", "u@x.example"),
        ("internal", "internal", "them"),
        ("missed", "missed", "them"),
        (None, None, "them"),
    ],
)
def test_unknown_directions_are_stored_unchanged(direction: str | None, stored: str | None, counterparty: str) -> None:
    record = call("a", direction=direction, to="U@x.example", userId="u@x.example", **{"from": "them"})
    derived = derive_columns(normalize_response(json.dumps([record]).encode(), USAGE).rows, USAGE)
    assert to_list(derived["direction"]) == [stored]
    assert [str(party).lower() for party in derived["counterparty"]] == [counterparty]


def test_counterparty_is_null_without_a_known_direction_or_the_user_as_a_party() -> None:
    record = call("a", direction="sideways", to="x", userId="u", **{"from": "y"})
    derived = derive_columns(normalize_response(json.dumps([record]).encode(), USAGE).rows, USAGE)
    assert to_list(derived["counterparty"]) == to_list(derived["counterparty_kind"]) == [None]


def test_a_bad_token_does_not_affect_other_records() -> None:
    body = b'[{"recordId":"a","iPlumCredits":NaN},{"recordId":"b","from":"tab\there"},{"recordId":"c","duration":"4"}]'
    frame = normalize_response(body, USAGE).frame
    assert list(frame["record_id"]) == ["a", "b", "c"]
    assert frame["unread"][0] == {"iPlumCredits": "NaN"}
    assert (frame["from_party"][1], frame["duration_minutes"][2]) == ("tab\there", 4.0)
