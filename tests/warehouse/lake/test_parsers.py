"""The strict and the lenient parser: the same columns for every list of records that the strict one accepts."""

import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.support.raw_responses import call
from warehouse.lake.columns import LATEST, TEXTS
from warehouse.lake.lenient_parser import find_readable, parse_any
from warehouse.lake.strict_parser import parse_well_formed
from warehouse.raw.json_records import load_records
from warehouse.schema.tables import RECORDINGS, USAGE, Table

texts = st.sampled_from(
    ["call", " Call ", "INBOUND", "", "\u00a0", "a b", "a\u00a0b", "İ", "é", "a\x00", "\ud800", None]
)
amounts: st.SearchStrategy[Any] = st.sampled_from(
    ["2", "-1.5", "0.1234567890123", "+2", " 2", "1e3", "nan", "٣", "", None]
)
numbers: st.SearchStrategy[Any] = st.sampled_from([0, 2, 2.5, -0.0, 1e15, 10**15, 2**53 + 1, 0.1, True, None])
instants = st.sampled_from(
    [
        "2023-03-24T00:00:00Z",
        "2023-03-24 00:00:00Z",
        "2023-03-24T00:00:00.5Z",
        "2023-03-24T00:00:00.123456Z",
        "2023-03-24T00:00:00.1234567Z",
        "2023-03-24T00:00:00",
        "2023-02-29T00:00:00Z",
        "2024-02-29T00:00:00Z",
        "2023-03-24T24:00:00Z",
        "2023-03-24T23:59:60Z",
        "2024-03-24T00:00:00Z",
        "1999-12-31T23:59:59Z",
        "2100-01-01T00:00:00.000001Z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        None,
    ]
)
records = st.builds(
    call,
    st.sampled_from(["a", "b", "", 1, None]),
    instants,
    endTimeUTC=instants,
    duration=amounts,
    iPlumCredits=numbers,
    usage=texts,
    direction=texts,
    to=texts,
)
#: Records with one unusual value, which the strict parser often accepts.
almost_documented = st.one_of(
    *(
        st.builds(lambda value, name=name: call(**{name: value}), values)
        for name, values in (
            ("usage", texts),
            ("direction", texts),
            ("to", texts),
            ("duration", amounts),
            ("iPlumCredits", numbers),
            ("startTimeUTC", instants),
            ("endTimeUTC", instants),
        )
    )
)


def parse(drawn: list[Any], table: Table = USAGE) -> pd.DataFrame | None:
    return parse_well_formed(load_records(json.dumps(drawn).encode()), table, LATEST)


@settings(max_examples=300, deadline=None)
@given(st.lists(almost_documented, min_size=1, max_size=3) | st.lists(records, max_size=2))
@example([])
@example([call(duration=2), call(duration=None)])
@example([call(iPlumCredits="2"), call(iPlumCredits=None)])
def test_both_parsers_return_the_same_columns(drawn: list[Any]) -> None:
    strict = parse(drawn)
    assume(strict is not None)
    loaded = load_records(json.dumps(drawn).encode())
    assert find_readable(loaded, USAGE) == list(range(len(drawn)))
    lenient, unread = parse_any(loaded, USAGE, LATEST)
    assert unread == {}
    assert strict is not None
    pd.testing.assert_frame_equal(strict, lenient)


@pytest.mark.parametrize(
    "drawn",
    [
        [call(), call("b", new=1)],
        [call(duration=2, iPlumCredits="4"), call(duration=2.5, iPlumCredits="0.5")],
        [call(clientReferenceId=None, iPlumCredits=None), {"recordId": "b"}],
        [call(direction="Inbound", usage=" CALL ", to="")],
        [call(start="2023-03-24 00:00:00.123456Z")],
    ],
    ids=["documented", "numbers", "nulls", "words", "microseconds"],
)
def test_well_formed_records_are_parsed_strictly(drawn: list[Any]) -> None:
    rows = parse(drawn)
    assert rows is not None
    assert all(isinstance(dtype, pd.ArrowDtype) for dtype in rows.dtypes)


def test_columns_of_recordings_are_parsed_strictly() -> None:
    rows = parse([{"recordId": "a", "dateTimeUTC": "2023-03-24T00:00:00Z", "length": "434.2 KB"}], RECORDINGS)
    assert rows is not None
    assert rows["length_text"].dtype == TEXTS


@pytest.mark.parametrize(
    "odd",
    [
        5,
        {"recordId": ""},
        call("b", iPlumCredits=True),
        call("b", iPlumCredits=1e15),
        call("b", duration="1e3"),
        call("b", usage="phone call"),
        call("b", to=14081231234),
        call("b", to="\ud83d"),
        call("b", start="soon"),
        call("b", start="2100-01-01T00:00:01Z"),
        call("b", endTimeUTC="2023-03-31T00:00:01Z"),
    ],
)
def test_one_odd_value_is_left_to_the_lenient_parser(odd: Any) -> None:
    assert parse([call(), odd]) is None
