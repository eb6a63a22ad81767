"""Marts of users, contacts, conversations and response times."""

from datetime import date

import pytest

from tests.support.mart_database import ANN, BOB, CLIENT, MartDatabase, pull, text, usage, utc
from warehouse.snapshot.marts import AccountSettings

OTHER = "+14085550199"


def test_user_summary_counts_the_records_of_each_user() -> None:
    database = MartDatabase(
        [
            usage("a", "2026-03-02 15:00"),  # Monday, 10:00 in New York
            usage("b", "2026-03-02 22:00", direction="out", counterparty=OTHER, duration_minutes=4.0),  # 17:00
            text("c", "2026-03-01 15:00", "out"),  # a Sunday
            usage("d", "2026-03-02 15:01", channel="fax", credits=None),
            usage("e", None, user_id=BOB, counterparty=OTHER),
            usage("f", "2026-03-01 10:00", user_id=BOB, counterparty=OTHER),
        ]
    )
    columns = ("user_id", "records", "calls_in", "calls_out", "texts_out", "faxes_in", "minutes", "credits")
    assert database.read_mart("user_summary", *columns) == [
        (ANN, 4, 1, 1, 1, 1, 6.0, 3.0),
        (BOB, 2, 2, 0, 0, 0, 4.0, 2.0),
    ]
    more = ("user_id", "counterparties", "new_counterparties", "first_at", "round(after_hours_share, 3)")
    assert database.read_mart("user_summary", *more) == [
        (ANN, 2, 1, utc("2026-03-01 15:00"), 0.5),
        (BOB, 1, 1, utc("2026-03-01 10:00"), 1.0),
    ]


def test_after_hours_share_uses_the_configured_business_hours() -> None:
    rows = [usage("a", "2026-03-01 03:30"), usage("b", "2026-03-01 07:00"), usage("c", "2026-03-01 12:00")]
    settings = AccountSettings(time_zone="America/New_York", business_hours="sat 22:00-03:00")
    database = MartDatabase(rows, settings=settings)
    assert database.read_mart("user_summary", "round(after_hours_share, 3)") == [(0.333,)]


def test_contacts_are_new_for_30_days_but_unknown_in_the_first_30_days_of_data() -> None:
    database = MartDatabase(
        [
            usage("a", "2026-01-01 12:00"),
            usage("b", "2026-01-20 12:00", counterparty=OTHER),
            usage("c", "2026-01-31 12:00", counterparty="ann@other.example", counterparty_kind="login"),
            usage("d", "2026-02-20 12:00", counterparty="72345", counterparty_kind="short_code", user_id=BOB),
            text("e", "2026-02-21 12:00", counterparty="72345", counterparty_kind="short_code"),
        ],
        pulls=[pull("2026-03-01", "2026-03-05 04:59")],
    )
    columns = ("counterparty", "kind", "calls_in", "texts_in", "users", "days_since", "is_new")
    assert database.read_mart("contacts", *columns) == [
        (CLIENT, "phone", 1, 0, 1, 62, None),
        (OTHER, "phone", 1, 0, 1, 43, None),
        ("72345", "short_code", 1, 1, 2, 11, True),
        ("ann@other.example", "login", 1, 0, 1, 32, False),
    ]


def test_a_thread_ends_24_hours_after_the_latest_end_of_its_records() -> None:
    database = MartDatabase(
        [
            usage("a", "2026-03-01 12:00", ended_at=utc("2026-03-01 12:30")),
            text("b", "2026-03-01 12:10", "out"),
            text("c", "2026-03-02 12:30"),  # 24 hours after the end of the call: the same thread
            usage("d", "2026-03-03 12:30:01", channel="fax", direction="out"),
            text("e", "2026-03-01 12:00", counterparty=OTHER),
            usage("f", "2026-03-03 12:00", counterparty=None),
        ]
    )
    columns = ("counterparty", "thread", "started_at", "ended_at", "calls", "texts", "faxes", "opened_by", "closed_by")
    assert database.read_mart("conversations", *columns) == [
        (CLIENT, 1, utc("2026-03-01 12:00"), utc("2026-03-02 12:30"), 1, 2, 0, "in", "in"),
        (CLIENT, 2, utc("2026-03-03 12:30:01"), utc("2026-03-03 12:30:01"), 0, 0, 1, "out", "out"),
        (OTHER, 1, utc("2026-03-01 12:00"), utc("2026-03-01 12:00"), 0, 1, 0, "in", "in"),
    ]


def test_a_block_ends_at_the_first_reply_and_is_open_without_one() -> None:
    database = MartDatabase(
        [
            text("a", "2026-03-02 14:00", "out"),
            text("b", "2026-03-02 15:00"),
            text("c", "2026-03-02 15:05"),
            text("d", "2026-03-02 15:20", "out"),
            text("e", "2026-03-02 15:21", "out"),
            text("f", "2026-03-02 16:00"),
            usage("g", "2026-03-02 16:01", direction="out"),  # a phone call does not count as a reply
        ],
        pulls=[pull("2026-03-01", "2026-03-03 15:00")],
    )
    columns = ("block", "block_start", "last_text_at", "texts", "replied_at", "wait_seconds", "is_open")
    assert database.read_mart("text_responses", *columns) == [
        (1, utc("2026-03-02 15:00"), utc("2026-03-02 15:05"), 2, utc("2026-03-02 15:20"), 1200.0, False),
        (2, utc("2026-03-02 16:00"), utc("2026-03-02 16:00"), 1, None, None, True),
    ]
    assert database.read_mart("text_responses", "first_record_id", "reply_record_id") == [("b", "d"), ("f", None)]
    # 6 business hours on Monday until 17:00, and one on Tuesday until 10:00.
    waiting = ("counterparty", "texts", "waiting_seconds / 3600", "waiting_business_seconds / 3600")
    assert database.read_mart("unanswered_texts", *waiting) == [(CLIENT, 1, 23.0, 7.0)]


def test_called_since_is_the_first_outbound_call_of_any_user_after_the_last_text() -> None:
    rows = [
        text("a", "2026-03-02 15:00"),
        usage("early", "2026-03-02 15:00", direction="out"),
        usage("inbound", "2026-03-02 15:30"),
        usage("first", "2026-03-02 16:00", direction="out", user_id=BOB),
        usage("second", "2026-03-02 17:00", direction="out"),
    ]
    assert MartDatabase(rows).read_mart("unanswered_texts", "called_since") == [(utc("2026-03-02 16:00"),)]
    assert MartDatabase(rows[:3]).read_mart("unanswered_texts", "called_since") == [(None,)]


@pytest.mark.parametrize(("reply", "open_blocks"), [("z", 0), ("a", 1)])
def test_texts_at_the_same_time_are_ordered_by_record_id(reply: str, open_blocks: int) -> None:
    database = MartDatabase([text("m", "2026-03-02 15:00"), text(reply, "2026-03-02 15:00", "out")])
    assert len(database.read_mart("unanswered_texts", "texts")) == open_blocks


@pytest.mark.parametrize(
    ("text_at", "reply_at", "business_hours", "settings"),
    [
        ("2026-03-02 15:00", "2026-03-02 16:30", 1.5, "mon-fri 09:00-17:00"),
        ("2026-03-02 12:00", "2026-03-02 13:00", 0.0, "mon-fri 09:00-17:00"),
        ("2026-03-06 21:00", "2026-03-09 14:00", 2.0, "mon-fri 09:00-17:00"),  # Friday 16:00 EST to Monday 10:00 EDT
        ("2026-03-07 05:00", "2026-03-09 04:00", 47.0, "sat-sun 00:00-24:00"),  # this Sunday has 23 hours
        ("2026-10-31 04:00", "2026-11-02 05:00", 49.0, "sat-sun 00:00-24:00"),  # this Sunday has 25 hours
        ("2026-03-08 05:00", "2026-03-08 12:00", 4.0, "sat 22:00-05:00"),  # midnight to 05:00, without the skipped hour
        ("2026-03-08 05:00", "2026-03-08 14:00", 2.0, "sun 02:30-05:00"),  # opens at 03:00, because 02:30 is skipped
        ("2026-03-08 05:00", "2026-03-08 14:00", 2.0, "sun 00:00-02:30"),  # closes at 02:00, which is 03:00
        ("2026-11-01 04:00", "2026-11-01 14:00", 3.0, "sun 01:00-03:00"),  # the hour from 01:00 is repeated
        ("2026-11-01 04:00", "2026-11-01 14:00", 1.0, "sun 01:15-01:45"),  # open twice
    ],
)
def test_business_wait_is_computed_in_local_time(
    text_at: str, reply_at: str, business_hours: float, settings: str
) -> None:
    database = MartDatabase(
        [text("a", text_at), text("b", reply_at, "out")],
        settings=AccountSettings(time_zone="America/New_York", business_hours=settings),
    )
    assert database.read_mart("text_responses", "business_wait_seconds / 3600") == [(business_hours,)]


def test_percentiles_use_replied_blocks_and_shares_use_all_blocks() -> None:
    waits = {"a": 10, "b": 20, "c": 60, "d": 90}
    rows = []
    for index, (client, minutes) in enumerate(waits.items()):
        rows += [
            text(f"{client}-in", f"2026-03-02 {12 + index}:00", counterparty=client),
            text(
                f"{client}-out",
                f"2026-03-02 {12 + index + minutes // 60}:{minutes % 60:02d}",
                "out",
                counterparty=client,
            ),
        ]
    rows.append(text("open", "2026-03-08 12:00", counterparty="e"))
    rows.append(text("next", "2026-03-09 12:00", counterparty="f"))
    database = MartDatabase(rows)
    columns = ("local_week", "blocks", "replied", "p50_seconds / 60", "p90_seconds / 60", "within_15_min", "within_1_h")
    assert database.read_mart("response_times", *columns) == [
        (date(2026, 3, 2), 5, 4, 40.0, 81.0, 0.2, 0.6),
        (date(2026, 3, 9), 1, 0, None, None, 0.0, 0.0),
    ]


def test_waiting_times_are_null_without_a_pull() -> None:
    database = MartDatabase([text("a", "2026-03-02 15:00")])
    assert database.read_mart("unanswered_texts", "waiting_seconds", "waiting_business_seconds") == [(None, None)]
