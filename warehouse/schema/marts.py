"""Every mart's columns, types and meaning, in the order in which the marts are built."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from warehouse.schema.tables import INSTANT, Column


@dataclass(frozen=True)
class Mart:
    """A mart: `grain` names the columns that tell its rows apart, `sources` the tables and marts it is made of."""

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


_ACCOUNT = _text("account", "The account's name (IPLUM_ACCOUNT).")
_USER = _text("user_id", "The iPlum user.")
_PARTY = _text("counterparty", "The other side: number, login or short code, as iPlum writes it.")
_DATE = Column("local_date", pa.date32(), "Day in the account's time zone; null for records without a start.")
_CHANNEL = _text("channel", "`call`, `text` or `fax`.")
_DIRECTION = _text("direction", "`in` or `out`, seen from the user.")
_TYPE = _text("type", "`iplum` (between iPlum users) or `external`.")
_DATASET = _text("dataset", "`usage` or `recordings`.")
_RECORDS = _count("records", "Records.")
_MINUTES = _number("minutes", "Minutes of calls as billed; null where there was no call.")
_CREDITS = _number("credits", "iPlum credits as reported; null where none was reported, which is not 0.")
_PARTIES = _count("counterparties", "Different counterparties.")
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
        "What each user did each day.",
        ("account", "local_date", "user_id", "channel", "direction"),
        (_ACCOUNT, _DATE, _USER, _CHANNEL, _DIRECTION, _RECORDS, _MINUTES, _CREDITS, _PARTIES),
        ("usage",),
    ),
    Mart(
        "daily_totals",
        "The account day by day, without holes; a conversation between two of its own users counts once.",
        ("account", "local_date", "channel"),
        (
            _ACCOUNT,
            _DATE,
            _CHANNEL,
            _count("records", "Records, of a mirrored pair the outbound one; with `mirrored_pairs` all rows."),
            _MINUTES,
            _number("credits", "iPlum credits of all rows; 0 on a day without any, null where none was reported."),
            _count("users", "Different users, those of both sides of a pair."),
            _PARTIES,
            _count(
                "mirrored_pairs",
                "Inbound rows left out, as another user's outbound row tells of the same: same two parties, "
                "starts within 5 seconds.",
            ),
        ),
        ("usage",),
    ),
    Mart(
        "hourly_heatmap",
        "When in the week things happen; all hours are there.",
        ("account", "weekday", "local_hour", "channel"),
        (
            _ACCOUNT,
            _count("weekday", "1 Monday to 7 Sunday, local; null for records without a start."),
            _count("local_hour", "Hour 0 to 23, local; null for records without a start."),
            _CHANNEL,
            _RECORDS,
            _number("share", "Share of the account's records of this channel, 0 to 1."),
        ),
        ("usage",),
    ),
    Mart(
        "user_summary",
        "Each user, over all of history.",
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
            _number("after_hours_share", "Share of the dated records outside IPLUM_BUSINESS_HOURS, 0 to 1."),
        ),
        ("usage",),
    ),
    Mart(
        "contacts",
        "Each counterparty of the account, over all of history.",
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
            _count("users", "Different users who dealt with it."),
            _count("days_since", "Local days from the last record to the latest pull."),
            Column(
                "is_new",
                pa.bool_(),
                "First seen in the 30 days before the latest pull; null where it was first seen in the first 30 "
                "days of history, which can't tell.",
            ),
        ),
        ("usage", "pulls"),
    ),
    Mart(
        "conversations",
        "Threads of calls, texts and faxes with one counterparty; over 24 hours of silence begin a new one.",
        ("account", "user_id", "counterparty", "thread"),
        (
            _ACCOUNT,
            _USER,
            _PARTY,
            _count("thread", "1, 2, … by time."),
            _instant("started_at", "Start of its first record."),
            _instant("ended_at", "The latest end of its records."),
            _RECORDS,
            _count("calls", "Calls."),
            _count("texts", "Texts."),
            _count("faxes", "Faxes."),
            _text("opened_by", "`in` or `out`: direction of its first record."),
            _text("closed_by", "`in` or `out`: direction of its last record."),
        ),
        ("usage",),
    ),
    Mart(
        "text_responses",
        "Blocks of inbound texts, each with the first text that answered it.",
        ("account", "user_id", "counterparty", "block"),
        (
            _ACCOUNT,
            _USER,
            _PARTY,
            _count("block", "1, 2, … by time."),
            _instant("block_start", "When its first text came."),
            _instant("last_text_at", "When its last text came."),
            _count("texts", "Inbound texts in it."),
            _instant("replied_at", "When the first outbound text followed; null while there is none."),
            _number("wait_seconds", "From its start to the reply."),
            _number("business_wait_seconds", "The part of it within IPLUM_BUSINESS_HOURS, local."),
            Column("is_open", pa.bool_(), "No reply yet."),
            _text("first_record_id", "Record of its first text."),
            _text("reply_record_id", "Record of the reply."),
        ),
        ("usage",),
    ),
    Mart(
        "response_times",
        "How fast texts are answered, by user and week.",
        ("account", "user_id", "local_week"),
        (
            _ACCOUNT,
            _USER,
            Column("local_week", pa.date32(), "Monday of the local week in which the block began."),
            _count("blocks", "Blocks of inbound texts."),
            _count("replied", "Those with a reply."),
            _number("p50_seconds", "Half of the replies took at most so long."),
            _number("p90_seconds", "Nine in ten replies took at most so long."),
            _number("within_15_min", "Share of all blocks answered within 15 minutes, 0 to 1."),
            _number("within_1_h", "Share of all blocks answered within an hour, 0 to 1."),
        ),
        ("marts.text_responses",),
    ),
    Mart(
        "unanswered_texts",
        "The work list: texts that nobody answered by text, oldest first.",
        ("account", "user_id", "counterparty"),
        (
            _ACCOUNT,
            _USER,
            _PARTY,
            _instant("block_start", "When the first of them came."),
            _count("texts", "How many there are."),
            _instant("last_text_at", "When the last of them came."),
            _number("waiting_seconds", "From the first to the latest pull."),
            _number("waiting_business_seconds", "The part of it within IPLUM_BUSINESS_HOURS, local."),
        ),
        ("marts.text_responses", "pulls"),
    ),
    Mart(
        "client_daily",
        "By client reference: what a reseller bills by.",
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
        "Credits day by day, without holes, against the four weeks before.",
        ("account", "local_date", "channel", "type"),
        (
            _ACCOUNT,
            _DATE,
            _CHANNEL,
            _TYPE,
            _RECORDS,
            _number("credits", "iPlum credits; 0 on a day without records, null where none was reported."),
            _number("mean_28d", "Mean of the 28 days before; null until there are so many."),
            _number(
                "robust_z",
                "(credits - median) / (1.4826 x median absolute deviation) over the 28 days before; beyond 3 is "
                "rare. Null where those days don't differ.",
            ),
        ),
        ("usage",),
    ),
    Mart(
        "recording_matches",
        "Which call each recording is of.",
        ("account", "recording_id"),
        (
            _ACCOUNT,
            _text("recording_id", "The recording."),
            _text("call_id", "The call (`usage.record_id`); null where unmatched."),
            _USER,
            _DIRECTION,
            _instant("recorded_at", "When it was recorded."),
            _number("delta_seconds", "From the call's start to the recording's."),
            _text(
                "status",
                "`mutual_nearest`; `ambiguous`: another call is as near within 60 seconds; `extra_segment`: its "
                "call has a nearer recording; `unmatched`.",
            ),
        ),
        ("recordings", "usage"),
    ),
    Mart(
        "recording_coverage",
        "How many calls were recorded, by user and day.",
        ("account", "user_id", "local_date"),
        (
            _ACCOUNT,
            _USER,
            _DATE,
            _count("calls", "Calls."),
            _count("recorded_calls", "Calls with a recording."),
            _count("recordings", "Recordings of that day."),
            _count("unmatched_recordings", "Those of no call."),
        ),
        ("marts.recording_matches", "usage"),
    ),
    Mart(
        "arrival_lag",
        "How late records first appear after they ended: what IPLUM_LOOKBACK_DAYS has to cover.",
        ("account", "dataset", "channel"),
        (
            _ACCOUNT,
            _DATASET,
            _text("channel", "`call`, `text` or `fax`; null for recordings."),
            _count("records", "Records first seen while their window was open or looked back at."),
            _number("p50_seconds", "Half of them came within so long."),
            _number("p90_seconds", "Nine in ten came within so long."),
            _number("p99_seconds", "99 in 100 came within so long."),
            _number("max_seconds", "The latest."),
        ),
        ("usage", "recordings", "pulls"),
    ),
    Mart(
        "completeness",
        "What is known of each window: when it was asked for, and how it is proven whole.",
        ("account", "dataset", "window_start"),
        (
            _ACCOUNT,
            _DATASET,
            Column("window_start", pa.date32(), "First day (UTC) of the window."),
            _instant("last_pulled_at", "When it was last asked for."),
            _count("pulls", "How often it was asked for."),
            _count("rows", "Rows in the table."),
            _count("callback_only", "Rows that were pushed and that no pull has brought."),
            _count("absent", "Rows that the API no longer has."),
            _text(
                "verified_by",
                "The strongest proof: `audit`, `halves` (two halves bore it out), `split`, `pull` (believed, as "
                "its size is not suspicious); null where no pull was whole.",
            ),
            _instant("audited_at", "When an audit last proved it; null before the first."),
        ),
        ("usage", "recordings", "pulls"),
    ),
    Mart(
        "callback_loss",
        "Which records were pushed, pulled, or both, from the first one on that was pushed.",
        ("account", "dataset", "local_date"),
        (
            _ACCOUNT,
            _DATASET,
            Column("local_date", pa.date32(), "Day in the account's time zone."),
            _count("pushed_and_pulled", "Records that came both ways."),
            _count("pushed_only", "Records that no pull has confirmed yet."),
            _count("pulled_only", "Records whose callback never came."),
            _number("loss_rate", "Share of the pulled records whose callback never came, 0 to 1."),
        ),
        ("usage", "recordings"),
    ),
)
