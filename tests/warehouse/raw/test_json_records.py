"""Lenient parsing: a bad token loses at most its record, and the client accepts the same bodies."""

import json
import random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.raw_responses import call
from warehouse.lake.normalize import normalize_response
from warehouse.raw.json_records import load_records, split_records
from warehouse.raw.lenient_json import parse_json
from warehouse.schema.tables import USAGE

GOOD = '{"recordId":"good-%d","duration":"2"}'
# The text of a record and the ID that is read from it; None if only its text is kept.
BAD = {
    "nan": ('{"recordId":"x","iPlumCredits":NaN}', "x"),
    "infinity": ('{"recordId":"x","iPlumCredits":-Infinity}', "x"),
    "1e999": ('{"recordId":"x","iPlumCredits":1e999}', "x"),
    "control character": ('{"recordId":"x","from":"a\tb\nc\x00"}', "x"),
    "trailing comma": ('{"recordId":"x","duration":"2",}', "x"),
    "trailing comma in a list": ('{"recordId":"x","new":[1,2,],"to":",]"}', "x"),
    "lone surrogate": ('{"recordId":"x","to":"\\ud83d"}', "x"),
    "ID of 64 bits": ('{"recordId":18446744073709551617}', "18446744073709551617"),
    "negative ID of 64 bits": ('{"recordId":-9223372036854775809}', "-9223372036854775809"),
    "ID of 400 digits": ('{"recordId":1%s}' % ("0" * 400), "1" + "0" * 400),
    "missing value": ('{"recordId":"x","from":}', None),
    "missing comma": ('{"recordId":"x" "from":"a"}', None),
    "single quotes": ("{'recordId':'x'}", None),
    "hexadecimal": ('{"recordId":"x","duration":0x1F}', None),
    "leading zero": ('{"recordId":"x","duration":007}', None),
    "undefined": ('{"recordId":"x","duration":undefined}', None),
    "unclosed string": ('{"recordId":"x","from":"a}', None),
    "not an object": ("5", None),
    "blank ID": ('{"recordId":" \t"}', None),
    "ID without width": ('{"recordId":"\\u200b\\ufeff"}', None),
    "quoted object": ('{"recordId":"x","to":"he said {"recordId":"phantom"} to me"}', None),
}


def build_body(*records: str) -> bytes:
    return f"[{','.join(records)}]".encode()


def read_ids(body: bytes) -> list[str]:
    ids: list[str] = normalize_response(body, USAGE).rows["record_id"].tolist()
    return ids


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize(("text", "record_id"), BAD.values(), ids=list(BAD))
def test_a_bad_record_does_not_affect_other_records(text: str, record_id: str | None, position: int) -> None:
    texts = [GOOD % 1, GOOD % 2]
    texts.insert(position, text)
    body = build_body(*texts)
    assert set(read_ids(body)) - {record_id} == {"good-1", "good-2"}
    assert (record_id in read_ids(body)) == (record_id is not None)
    assert list(normalize_response(body, USAGE).unreadable) == ([position] if record_id is None else [])
    assert parse_json(body) == load_records(body)


@pytest.mark.parametrize(
    "text",
    [
        '{"recordId":"x","to":"hello, {"recordId":"phantom"} there"}',
        '<script>var a = {"recordId":"phantom"}, {"recordId":"phantom"} </script>',
    ],
)
def test_an_object_quoted_in_a_text_is_no_record(text: str) -> None:
    body = build_body(GOOD % 1, text, GOOD % 2)
    assert read_ids(body) == ["good-1", "good-2"]
    assert "".join(split_records(body)).count("phantom") == text.count("phantom"), "the text is kept"


def test_the_text_of_a_bad_record_is_kept_at_its_position() -> None:
    body = build_body(GOOD % 1, "{'recordId':'x'}", GOOD % 2)
    assert [type(record) for record in load_records(body)] == [dict, str, dict]
    assert load_records(body)[1] == "{'recordId':'x'}"
    assert split_records(body) == [GOOD % 1, "{'recordId':'x'}", GOOD % 2]


def test_a_bad_record_before_a_number_does_not_affect_other_records() -> None:
    body = build_body("{x}", "5", GOOD % 1, "5", GOOD % 2)
    assert read_ids(body) == ["good-1", "good-2"]
    assert parse_json(body) == load_records(body)


def test_bytes_that_are_not_utf_8_lose_only_their_value() -> None:
    body = build_body('{"recordId":"x","to":"caf\xe9","duration":"2"}', GOOD % 1).replace("\xe9".encode(), b"\xe9")
    rows = normalize_response(body, USAGE).frame
    assert list(rows["record_id"]) == ["x", "good-1"]
    assert list(rows["duration_minutes"]) == [2.0, 2.0]
    assert list(rows["to_party"].isna()) == [True, True]
    assert split_records(body)[0].encode(errors="surrogateescape") in body
    assert parse_json(body) == load_records(body)


def test_a_byte_order_mark_changes_nothing() -> None:
    body = b"\xef\xbb\xbf" + build_body('{"recordId":18446744073709551617}', BAD["lone surrogate"][0])
    assert read_ids(body) == ["18446744073709551617", "x"]


@pytest.mark.parametrize("body", [b"", b"[", b"[{", b'[{"recordId":"x"}', b'[{"recordId":"x"},', b"nonsense", b"[5x]"])
def test_the_client_rejects_a_truncated_body(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"array|object|JSON|Expecting"):
        parse_json(body)


odd_texts = st.sampled_from([text for text, _ in BAD.values()])
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
valid_texts = st.dictionaries(st.text(max_size=4), values, max_size=3).map(json.dumps)


@settings(max_examples=200, deadline=None)
@given(st.lists(odd_texts | valid_texts, max_size=5), st.randoms(use_true_random=False))
@example(["{'recordId':'x'}", '{"a":1}'], random.Random(1))
def test_bad_records_do_not_affect_others_and_both_parsers_agree(texts: list[str], randomness: random.Random) -> None:
    body = build_body(*[text for number, odd in enumerate(texts) for text in (GOOD % number, odd)], GOOD % len(texts))
    ids = read_ids(body)
    assert {f"good-{number}" for number in range(len(texts) + 1)} <= set(ids)
    assert list(map(type, parse_json(body))) == list(map(type, load_records(body)))
    assert len(split_records(body)) == len(load_records(body))
    # A damaged byte loses at most its record, and the next one if it joins both.
    damaged = bytearray(body)
    damaged[randomness.randrange(1, len(body) - 1)] = randomness.choice(b"\xff\x00x")
    try:
        ids_read = set(read_ids(bytes(damaged)))
    except ValueError:
        pytest.fail("a damaged byte inside the array fails the body")
    assert len({f"good-{number}" for number in range(len(texts) + 1)} - ids_read) <= 2


TOKENS = ["NaN", "-Infinity", "1e999", "007", "0x1F", "undefined", "'x'", "{", "[", "]", "}", '"', "\\", "\x00", ",,",
          "+1", "18446744073709551616", '"\\ud800"', '"\\x"', '"a\tb"', "[[[[]]]]",
          '{"a":}', "\u2028", "null", "{}"]  # fmt: skip
ODD_RECORDS = 5_000


def invent_odd_text(rng: random.Random) -> str:
    """Replace a value or a letter of a record by a token, or truncate the record."""
    text = json.dumps(call("odd"))
    kind, place = rng.choice(["known", "value", "letter", "truncated"]), rng.randrange(len(text))
    if kind == "known":
        return rng.choice(list(BAD.values()))[0]
    if kind == "value":
        begin = text.index(": ", text.index(f'"{rng.choice(list(call()))}": ')) + 2
        end = text.find(', "', begin)
        return text[:begin] + rng.choice(TOKENS) + text[end if end > 0 else len(text) - 1 :]
    return text[:place] + (rng.choice(TOKENS) + text[place + 1 :] if kind == "letter" else "")


def test_odd_records_cost_no_neighbor() -> None:
    """With 100,000 of them, none was lost either."""
    rng = random.Random(7)
    odd = 0
    while odd < ODD_RECORDS:
        size = rng.randrange(1, 12)
        texts = [text for number in range(size) for text in (GOOD % number, invent_odd_text(rng))]
        body = build_body(*texts, GOOD % size)
        assert {f"good-{number}" for number in range(size + 1)} <= set(read_ids(body)), body
        assert len(parse_json(body)) == len(load_records(body))
        odd += size


def test_a_trailing_comma_is_removed_from_its_record_only() -> None:
    body = build_body('{"recordId":"x","from":"say "hi"}', '{"recordId":"y","from":"a, ]b","to":"c,}d",}', GOOD % 1)
    intact = [{"recordId": "y", "from": "a, ]b", "to": "c,}d"}, json.loads(GOOD % 1)]
    assert parse_json(body)[1:] == load_records(body)[1:] == intact


def test_a_deeply_nested_record_costs_no_other_record() -> None:
    deep = '{"recordId":"x","new":%s}' % ("[" * 5000 + "]" * 5000)
    assert read_ids(build_body(GOOD % 1, deep, GOOD % 2)) == ["good-1", "good-2"]
    assert len(parse_json(build_body(GOOD % 1, deep, GOOD % 2))) == 3


def test_many_bad_records_are_parsed_in_linear_time() -> None:
    """Each error of the decoder counts the lines before it, from the start of the text."""
    body = build_body(*['{"recordId":"x","iPlumCredits":02,"from":"%s"}' % ("a" * 200)] * 20_000, GOOD % 1)
    assert read_ids(body) == ["good-1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"recordId":"x","from":null,"From":"+14085550100"}', {"from": "+14085550100"}),
        ('{"recordId":"x","From":"+14085550100","from":null}', {"from": "+14085550100"}),
        ('{"recordId":"x","from":"a","From":"b"}', {"from": "a", "From": "b"}),
        ('{"recordId":"x","From":"b","from":"a"}', {"from": "a", "From": "b"}),
        ('{"recordId":"x","FROM":"a","From":"b"}', {"from": "a", "From": "b"}),
        ('{"recordId":"x","From":"b","FROM":"a"}', {"from": "a", "From": "b"}),
        ('{"recordId":"x","FROM":null,"From":null}', {"from": None}),
    ],
)
def test_of_several_spellings_of_a_field_the_same_one_wins_and_null_never_does(
    text: str, expected: dict[str, str | None]
) -> None:
    (record,) = load_records(build_body(text))
    assert {name: value for name, value in record.items() if name != "recordId"} == expected
