"""Inbound calls and texts without an outbound one since: by hand, and for random records against plain Python."""

from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from tests.support.expected_marts import ExpectedMarts
from tests.support.mart_database import ANN, BOB, CLIENT, NEW_YORK, SYDNEY, MartDatabase, Row, pull, text, usage, utc

_COLUMNS = ("counterparty", "last_in_at", "channel", "user_id", "last_out_at", "inbound_since_last_out")
_OWN = "+13035550100"
_PULLS = [pull("2026-03-06", "2026-03-10 15:00", account=account) for account in ("default", "second")]
_STARTS = st.builds(
    lambda hours, seconds: utc("2026-03-08 05:00") + timedelta(hours=hours, seconds=seconds),
    st.integers(-4, 4),
    st.integers(0, 1),
)
_RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "started_at": st.none() | _STARTS,
            "channel": st.sampled_from(["call", "text", "fax"]),
            "direction": st.sampled_from(["in", "out"]),
            "user_id": st.sampled_from([ANN, BOB, None]),
            "counterparty": st.sampled_from([CLIENT, "+14085550101", _OWN, None]),
            "counterparty_kind": st.sampled_from(["phone", "phone", "short_code", "login"]),
            "own_party": st.sampled_from([ANN, _OWN]),
            "account": st.sampled_from(["default", "second"]),
        }
    ),
    max_size=14,
)


def test_a_number_is_listed_until_any_user_calls_or_texts_it() -> None:
    rows = [
        text("a", "2026-03-02 14:00"),
        usage("b", "2026-03-02 15:00", user_id=BOB),
        usage("c", "2026-03-02 16:00", channel="fax", direction="out"),  # a fax is not a follow-up
    ]
    database = MartDatabase(rows, pulls=[pull("2026-03-01", "2026-03-03 15:00")])
    assert database.read_mart("missed_follow_ups", *_COLUMNS) == [
        (CLIENT, utc("2026-03-02 15:00"), "call", BOB, None, 2)
    ]
    # From 10:00 to 17:00 on Monday, and from 09:00 to 10:00 on Tuesday.
    assert database.read_mart("missed_follow_ups", "business_hours_waited") == [(8.0,)]
    followed_up = MartDatabase([*rows, text("d", "2026-03-02 17:00", "out", user_id=ANN)])
    assert followed_up.read_mart("missed_follow_ups", *_COLUMNS) == []


def test_only_records_after_the_last_outbound_one_are_counted() -> None:
    rows = [
        usage("a", "2026-03-02 14:00"),
        usage("b", "2026-03-02 14:00", direction="out"),  # at the same time: a follow-up
        text("c", "2026-03-02 15:00"),
        text("d", "2026-03-02 15:00", user_id=BOB),  # at the same time: the highest record ID is the last
    ]
    assert MartDatabase(rows).read_mart("missed_follow_ups", *_COLUMNS) == [
        (CLIENT, utc("2026-03-02 15:00"), "text", BOB, utc("2026-03-02 14:00"), 2)
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"counterparty": "72345", "counterparty_kind": "short_code"},
        {"counterparty": BOB, "counterparty_kind": "login"},
        {"counterparty": _OWN},
        {"channel": "fax"},
    ],
)
def test_short_codes_logins_own_numbers_and_faxes_are_left_out(changes: dict[str, str]) -> None:
    rows = [
        usage("a", "2026-03-02 14:00", **changes),
        usage("own", "2026-03-02 14:00", direction="out", own_party=_OWN),
    ]
    assert MartDatabase(rows).read_mart("missed_follow_ups", "counterparty") == []


def test_the_wait_is_null_without_a_pull() -> None:
    database = MartDatabase([usage("a", "2026-03-02 14:00")])
    assert database.read_mart("missed_follow_ups", "business_hours_waited") == [(None,)]


@given(_RECORDS)
@settings(max_examples=12, deadline=None)
def test_the_mart_equals_its_definition_in_plain_python(records: list[dict[str, Any]]) -> None:
    rows = [usage(f"r{number:02d}", None, **record) for number, record in enumerate(records)]
    database = MartDatabase(rows, pulls=_PULLS, settings=NEW_YORK, others={"second": SYDNEY})
    columns = ("account", *_COLUMNS, "business_hours_waited")
    found = database.read_mart("missed_follow_ups", *columns)
    expected: list[Row] = list(ExpectedMarts(rows, [], _PULLS).missed_follow_ups())
    assert found == sorted(tuple(row[name] for name in columns) for row in expected)
    database.connection.close()
