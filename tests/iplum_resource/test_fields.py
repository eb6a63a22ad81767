"""Case-insensitive lookup of record fields."""

from typing import Any

import pytest

from iplum_resource.fields import get_field


@pytest.mark.parametrize(
    ("record", "value"),
    [
        ({"recordId": "a"}, "a"),
        ({"RecordID": "b"}, "b"),
        ({"RecordID": "b", "recordId": "a"}, "a"),
        ({"recordId": None, "RecordID": "b"}, None),
        ({"id": "c"}, None),
    ],
)
def test_the_documented_spelling_of_a_field_takes_precedence(record: dict[str, Any], value: object) -> None:
    assert get_field(record, "recordId") == value
