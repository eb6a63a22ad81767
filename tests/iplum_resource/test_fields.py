"""Fields of records: spellings, and values that can be a record's ID."""

import pytest

from iplum_resource.errors import UnreadableResponse
from iplum_resource.fields import get_field, is_record_id
from tests.iplum_resource.test_client_calls import count_records


@pytest.mark.parametrize(
    ("record", "value"),
    [
        ({"recordId": "a", "RecordID": "b"}, "a"),
        ({"RecordID": "b", "recordId": "a"}, "a"),
        ({"recordId": None, "RecordID": "b"}, "b"),
        ({"recordid": "c", "RECORDID": "b"}, "b"),
        ({"recordId": None}, None),
        ({}, None),
    ],
)
def test_of_several_spellings_the_same_one_wins_and_null_never_does(
    record: dict[str, str | None], value: str | None
) -> None:
    assert get_field(record, "recordId") == value


@pytest.mark.parametrize("value", ["a", " a", 0, -1, 10**30, "\u200ba"])
def test_an_id_is_an_integer_or_text_that_shows_something(value: object) -> None:
    assert is_record_id(value)


@pytest.mark.parametrize("value", ["", " ", "\u00a0", "\u200b\ufeff", "\ud83d", True, 1.5, None, ["a"], {"x": 1}])
def test_other_values_are_no_id(value: object) -> None:
    assert not is_record_id(value)


@pytest.mark.parametrize("value", ['{"x": 1}', '["a"]', "true", '" "', '"\\u200b"', "1.5", "null"])
def test_a_response_in_which_no_record_has_an_id_is_a_failure(value: str) -> None:
    with pytest.raises(UnreadableResponse, match="no element has a recordId"):
        count_records(f'[{{"recordId": {value}}}, {{"recordId": {value}}}]'.encode())
    assert count_records(f'[{{"recordId": {value}}}, {{"recordId": "a"}}]'.encode()) == 2
