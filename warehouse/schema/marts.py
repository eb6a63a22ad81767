"""The columns of the marts: names, types and meanings, in the order in which the marts are built."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from warehouse.schema.tables import INSTANT, Column


@dataclass(frozen=True)
class Mart:
    """A mart: `grain` names the columns that identify a row, `sources` the tables and marts it reads."""

    name: str
    description: str
    grain: tuple[str, ...]
    columns: tuple[Column, ...]
    sources: tuple[str, ...]


def _text(name: str, description: str) -> Column:
    return Column(name, pa.string(), description)


def _count(name: str, description: str) -> Column:
    return Column(name, pa.int64(), description)


def _number(name: str, description: str) -> Column:
    return Column(name, pa.float64(), description)


def _instant(name: str, description: str) -> Column:
    return Column(name, INSTANT, description)


_ACCOUNT = _text("account", "Name of the account (IPLUM_ACCOUNT).")
_USER = _text("user_id", "Login of the iPlum user.")
_PARTY = _text("counterparty", "The other party: number, login or short code, as iPlum writes it.")
_DATE = Column("local_date", pa.date32(), "Day in the account's time zone; null for records without a start time.")
_CHANNEL = _text("channel", "`call`, `text` or `fax`.")
_DIRECTION = _text("direction", "`in` or `out`, seen from the user.")
_TYPE = _text("type", "`iplum` (between iPlum users) or `external`.")
_DATASET = _text("dataset", "`usage` or `recordings`.")
_RECORDS = _count("records", "Records.")
_MINUTES = _number("minutes", "Billed minutes of calls; null without calls.")
_CREDITS = _number("credits", "iPlum credits as reported; null if none were reported.")
_PARTIES = _count("counterparties", "Distinct counterparties.")
_BY_CHANNEL = (
    _count("calls_in", "Inbound calls."),
    _count("calls_out", "Outbound calls."),
    _count("texts_in", "Inbound texts."),
    _count("texts_out", "Outbound texts."),
    _count("faxes_in", "Inbound faxes."),
    _count("faxes_out", "Outbound faxes."),
)

MARTS = (
    Mart(
        "daily_activity",
        "Records per user, day, channel and direction.",
        ("account", "local_date", "user_id", "channel", "direction"),
        (_ACCOUNT, _DATE, _USER, _CHANNEL, _DIRECTION, _RECORDS, _MINUTES, _CREDITS, _PARTIES),
        ("usage",),
    ),
    Mart(
        "daily_totals",
        "Account totals per day and channel, with zeros on empty days. A conversation between two users counts "
        "once.",
        ("account", "local_date", "channel"),
        (
            _ACCOUNT,
            _DATE,
            _CHANNEL,
            _count(
                "records", "Records; of a mirrored pair only the outbound one. Add `mirrored_pairs` for all rows."
            ),
            _MINUTES,
            _number(
                "credits", "iPlum credits of all rows; 0 on a day without records, null if none were reported."
            ),
            _count("users", "Distinct users, including both sides of a mirrored pair."),
            _PARTIES,
            _count(
                "mirrored_pairs",
                "Inbound rows not counted because another user's outbound row is the same event: same two "
                "parties, "
                "starts within 5 seconds.",
            ),
        ),
        ("usage",),
    ),
    Mart(
        "hourly_heatmap",
        "Records per weekday and hour; every hour has a row.",
        ("account", "weekday", "local_hour", "channel"),
        (
            _ACCOUNT,
            _count("weekday", "Local weekday, 1 (Monday) to 7 (Sunday); null for records without a start time."),
            _count("local_hour", "Local hour, 0 to 23; null for records without a start time."),
            _CHANNEL,
            _RECORDS,
            _number("share", "Share of the account's records of this channel, 0 to 1."),
        ),
        ("usage",),
    ),
    Mart(
        "user_summary",
        "Totals per user, over all of history.",
        ("account", "user_id"),
        (
            _ACCOUNT,
            _USER,
            _RECORDS,
            *_BY_CHANNEL,
            _MINUTES,
            _CREDITS,
            _PARTIES,
            _count("new_counterparties", "Counterparties whose first record in the account is with this user."),
            _instant("first_at", "Start of the first record."),
            _instant("last_at", "Start of the last record."),
            _number(
                "after_hours_share",
                "Share of records with a start time that are outside IPLUM_BUSINESS_HOURS, 0 to 1.",
            ),
        ),
        ("usage",),
    ),
    Mart(
        "contacts",
        "Totals per counterparty, over all of history.",
        ("account", "counterparty"),
        (
            _ACCOUNT,
            _PARTY,
            _text("kind", "`phone`, `login`, `short_code` or `other`."),
            _instant("first_seen", "Start of the first record."),
            _instant("last_seen", "Start of the last record."),
            *_BY_CHANNEL,
            _RECORDS,
            _MINUTES,
            _CREDITS,
            _count("users", "Distinct users with records of this counterparty."),
            _count("days_since", "Local days between the last record and the latest pull."),
            Column(
                "is_new",
                pa.bool_(),
                "Whether it was first seen in the 30 days before the latest pull; null if it was first seen in "
                "the "
                "first 30 days of history.",
            ),
        ),
        ("usage", "pulls"),
    ),
    Mart(
        "conversations",
        "Threads of calls, texts and faxes with one counterparty; a gap of over 24 hours starts a new thread.",
        ("account", "user_id", "counterparty", "thread"),
        (
            _ACCOUNT,
            _USER,
            _PARTY,
            _count("thread", "Number of it, from 1, by time."),
            _instant("started_at", "Start of the first record."),
            _instant("ended_at", "Latest end of the records."),
            _RECORDS,
            _count("calls", "Calls."),
            _count("texts", "Texts."),
            _count("faxes", "Faxes."),
            _text("opened_by", "Direction of the first record, `in` or `out`."),
            _text("closed_by", "Direction of the last record, `in` or `out`."),
        ),
        ("usage",),
    ),
    Mart(
        "text_responses",
        "Blocks of inbound texts, each with the first outbound text after it.",
        ("account", "user_id", "counterparty", "block"),
        (
            _ACCOUNT,
            _USER,
            _PARTY,
            _count("block", "Number of it, from 1, by time."),
            _instant("block_start", "Time of the first text."),
            _instant("last_text_at", "Time of the last text."),
            _count("texts", "Inbound texts in the block."),
            _instant("replied_at", "Time of the first outbound text after it; null without a reply."),
            _number("wait_seconds", "Seconds from the start of the block to the reply."),
            _number("business_wait_seconds", "Seconds of the wait within IPLUM_BUSINESS_HOURS (local)."),
            Column("is_open", pa.bool_(), "Whether there is no reply yet."),
            _text("first_record_id", "ID of the first text."),
            _text("reply_record_id", "ID of the reply."),
        ),
        ("usage",),
    ),
    Mart(
        "response_times",
        "Reply times to texts, per user and week.",
        ("account", "user_id", "local_week"),
        (
            _ACCOUNT,
            _USER,
            Column("local_week", pa.date32(), "Monday of the local week in which the block started."),
            _count("blocks", "Blocks of inbound texts."),
            _count("replied", "Blocks with a reply."),
            _number("p50_seconds", "Median reply time in seconds."),
            _number("p90_seconds", "90th percentile of the reply time in seconds."),
            _number("within_15_min", "Share of all blocks with a reply within 15 minutes, 0 to 1."),
            _number("within_1_h", "Share of all blocks with a reply within an hour, 0 to 1."),
        ),
        ("marts.text_responses",),
    ),
    Mart(
        "unanswered_texts",
        "Texts without a reply by text, oldest first.",
        ("account", "user_id", "counterparty"),
        (
            _ACCOUNT,
            _USER,
            _PARTY,
            _instant("block_start", "Time of the first unanswered text."),
            _count("texts", "Number of unanswered texts."),
            _instant("last_text_at", "Time of the last unanswered text."),
            _number("waiting_seconds", "Seconds from the first text to the latest pull."),
            _number("waiting_business_seconds", "Seconds of the wait within IPLUM_BUSINESS_HOURS (local)."),
        ),
        ("marts.text_responses", "pulls"),
    ),
    Mart(
        "client_daily",
        "Totals per client reference and day, for billing by a reseller.",
        ("account", "client_reference_id", "local_date", "channel"),
        (
            _ACCOUNT,
            _text("client_reference_id", "Custom value set on the account at iPlum."),
            _DATE,
            _CHANNEL,
            _RECORDS,
            _MINUTES,
            _CREDITS,
        ),
        ("usage",),
    ),
    Mart(
        "credits_daily",
        "Credits per day, with zeros on empty days, compared with the four weeks before.",
        ("account", "local_date", "channel", "type"),
        (
            _ACCOUNT,
            _DATE,
            _CHANNEL,
            _TYPE,
            _RECORDS,
            _number("credits", "iPlum credits; 0 on a day without records, null if none were reported."),
            _number("mean_28d", "Mean of the 28 days before; null for the first 28 days."),
            _number(
                "robust_z",
                "(credits - median) / (1.4826 x median absolute deviation) over the 28 days before; values beyond "
                "3 are "
                "rare. Null if those days do not differ.",
            ),
        ),
        ("usage",),
    ),
    Mart(
        "recording_matches",
        "Recordings and the calls they belong to.",
        ("account", "recording_id"),
        (
            _ACCOUNT,
            _text("recording_id", "ID of the recording."),
            _text("call_id", "ID of the call (`usage.record_id`); null if unmatched."),
            _USER,
            _DIRECTION,
            _instant("recorded_at", "Time of the recording."),
            _number("delta_seconds", "Seconds from the start of the call to the recording."),
            _text(
                "status",
                "`mutual_nearest`; `ambiguous`: another call is equally near within 60 seconds; `extra_segment`: "
                "the "
                "call has a nearer recording; `unmatched`.",
            ),
        ),
        ("recordings", "usage"),
    ),
    Mart(
        "recording_coverage",
        "Recorded calls per user and day.",
        ("account", "user_id", "local_date"),
        (
            _ACCOUNT,
            _USER,
            _DATE,
            _count("calls", "Calls."),
            _count("recorded_calls", "Calls with a recording."),
            _count("recordings", "Recordings."),
            _count("unmatched_recordings", "Recordings without a matching call."),
        ),
        ("marts.recording_matches", "usage"),
    ),
    Mart(
        "arrival_lag",
        "Time between the end of records and their first appearance, which IPLUM_LOOKBACK_DAYS must cover.",
        ("account", "dataset", "channel"),
        (
            _ACCOUNT,
            _DATASET,
            _text("channel", "`call`, `text` or `fax`; null for recordings."),
            _count("records", "Records first seen while their window was open or in the look-back."),
            _number("p50_seconds", "Median in seconds."),
            _number("p90_seconds", "90th percentile in seconds."),
            _number("p99_seconds", "99th percentile in seconds."),
            _number("max_seconds", "Maximum in seconds."),
        ),
        ("usage", "recordings", "pulls"),
    ),
    Mart(
        "completeness",
        "Requests per window, and how its completeness was verified.",
        ("account", "dataset", "window_start"),
        (
            _ACCOUNT,
            _DATASET,
            Column("window_start", pa.date32(), "First day (UTC) of the window."),
            _instant("last_pulled_at", "Time of the last request."),
            _count("pulls", "Number of pulls."),
            _count("rows", "Rows in the table."),
            _count("callback_only", "Rows that only callbacks delivered."),
            _count("absent", "Rows that the API no longer has."),
            _text(
                "verified_by",
                "The strongest verification: `audit`, `halves` (split check), `split`, `pull` (row count not "
                "suspicious); null without a complete pull.",
            ),
            _instant("audited_at", "Time of the last audit that confirmed it; null before the first."),
        ),
        ("usage", "recordings", "pulls"),
    ),
    Mart(
        "callback_loss",
        "Records delivered by callback, by pull, or by both, since the first callback.",
        ("account", "dataset", "local_date"),
        (
            _ACCOUNT,
            _DATASET,
            Column("local_date", pa.date32(), "Day in the account's time zone."),
            _count("pushed_and_pulled", "Records delivered by both."),
            _count("pushed_only", "Records that no pull has returned yet."),
            _count("pulled_only", "Records without a callback."),
            _number("loss_rate", "Share of the pulled records without a callback, 0 to 1."),
        ),
        ("usage", "recordings"),
    ),
)
