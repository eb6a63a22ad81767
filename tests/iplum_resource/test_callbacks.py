"""Parsing of callbacks: accepted records, rejected bodies, and values that are never stored."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iplum_resource.callbacks import parse_callback
from iplum_resource.errors import IPlumError, UnreadableCallback
from warehouse.raw.lenient_json import parse_json

# The two examples in the vendor's documentation, "Callback Example".
USAGE = (
    b'{"source":"iPlum", "clientReferenceId":"1234", "usage":"text", '
    b'"recordId":"0UmFAs73cwKbyqUtmz7ltLI.nGlAD.0Dgjdhpm", "from":"+14081231234", "to":"test@iplum.com", '
    b'"startTimeUTC":"2023-03-24T00:00:00Z", "endTimeUTC":"2023-03-24T00:00:00Z", "duration":"1", '
    b'"direction":"in", "type":"external", "content":"Hello", "iPlumCredits":1, "userId":"test@test.com"}'
)
RECORDING = (
    b'{"source":"iPlum", "clientReferenceId":"1234", "recordId":"ae0b4e3e-76c0-46d2-8bab-18c8764081dbgjdi2j", '
    b'"phonenumber":"+14081231234", "dateTimeUTC":"2023-03-22T00:24:00Z", "duration":"3", "direction":"in", '
    b'"length":"434.2 KB", "content":"http://media.iplum.com/ae0b4e3e-76c0-46d2-8bab-18c8764081db.mp3", '
    b'"userId":"test@test.com"}'
)


def build_text_record(**changes: Any) -> bytes:
    return json.dumps({"recordId": "a", "usage": "text", **changes}).encode()


def test_the_content_of_a_documented_usage_record_is_separated_from_the_record() -> None:
    (record,) = parse_callback(USAGE, "usage")
    expected = json.loads(USAGE)
    assert expected.pop("content") == record.content == "Hello"
    assert json.loads(record.body) == expected


def test_the_url_of_a_recording_is_never_stored() -> None:
    (record,) = parse_callback(RECORDING, "recordings")
    assert record.content is None
    assert b"media.iplum.com" not in record.body
    assert json.loads(record.body)["length"] == "434.2 KB"


@pytest.mark.parametrize(
    "changes",
    [
        {"content": "https://media.iplum.com/x.jpg"},
        {"content": " HTTPS://elsewhere.example/x.pdf\n"},
        {"content": ""},
        {"content": 5},
        {"content": None},
        {"usage": "fax", "content": "words"},
        {"usage": "call", "content": "words"},
    ],
)
def test_content_that_is_not_the_text_of_a_message_is_dropped(changes: dict[str, Any]) -> None:
    (record,) = parse_callback(build_text_record(**changes), "usage")
    assert record.content is None
    assert "content" not in json.loads(record.body)


def test_a_message_text_that_contains_a_url_is_kept() -> None:
    (record,) = parse_callback(build_text_record(content="see https://clinic.example/map"), "usage")
    assert record.content == "see https://clinic.example/map"


def test_a_content_field_in_another_case_is_removed_from_the_record() -> None:
    (record,) = parse_callback(build_text_record(Content="secret words"), "usage")
    assert b"secret" not in record.body


def test_the_records_of_an_array_keep_their_order() -> None:
    body = b"[" + build_text_record(recordId="b") + b"," + build_text_record(recordId=7) + b"]"
    assert [json.loads(record.body)["recordId"] for record in parse_callback(body, "usage")] == ["b", 7]


def test_an_empty_array_has_no_records() -> None:
    assert parse_callback(b"[]", "usage") == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b"[" * 100_000,
        b"5",
        b"null",
        b'"recordId"',
        b"{}",
        b"[[]]",
        build_text_record(recordId=""),
        build_text_record(recordId=" "),
        build_text_record(recordId=None),
        build_text_record(recordId=True),
        build_text_record(recordId=1.5),
        build_text_record(recordId=["a"]),
        build_text_record(deep=json.loads("[" * 60 + "]" * 60)),
        b'{"recordId": "\\ud800"}',
        b"[" + build_text_record() + b", {}]",
    ],
)
def test_a_body_with_one_unreadable_record_is_rejected_as_a_whole(body: bytes) -> None:
    with pytest.raises(UnreadableCallback, match="recordId") as caught:
        parse_callback(body, "usage")
    assert isinstance(caught.value, IPlumError)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_body_is_parsed_or_raises_unreadable_callback(body: bytes) -> None:
    try:
        records = parse_callback(body, "usage")
    except UnreadableCallback:
        return
    assert all(json.loads(record.body)["recordId"] for record in records if b'"recordId":0' not in record.body)


@pytest.mark.parametrize("record_id", [2**63 - 1, -(2**63), 0, 2**64, 10**200])
def test_a_record_id_can_be_an_integer_of_any_size(record_id: int) -> None:
    (record,) = parse_callback(build_text_record(recordId=record_id, deep=[[1]]), "usage")
    assert json.loads(record.body)["recordId"] == record_id


def test_neither_the_repr_of_a_record_nor_an_error_shows_the_callbacks_values() -> None:
    (record,) = parse_callback(USAGE, "usage")
    assert "Hello" not in repr(record)
    assert "4081231234" not in repr(record)
    with pytest.raises(UnreadableCallback) as caught:
        parse_callback(b'{"from": "+14081231234"}', "usage")
    assert "4081231234" not in f"{caught.value!r}{caught.value}"


def test_field_names_are_case_insensitive() -> None:
    (record,) = parse_callback(b'{"RecordID":"a","Usage":"text","Content":"Hello"}', "usage")
    assert record.content == "Hello"
    assert json.loads(record.body) == {"RecordID": "a", "Usage": "text"}


def test_control_characters_and_nan_are_accepted() -> None:
    (record,) = parse_callback(
        b'{"recordId":"a","usage":"text","content":"tab\there","iPlumCredits":NaN}', "usage", parse_json=parse_json
    )
    assert record.content == "tab\there"
    assert json.loads(record.body)["iPlumCredits"] == "NaN"
