"""The columns of all tables except marts: names, types, meanings, and the vendor fields behind them.

Normalization (`warehouse.lake.normalize`), DDL and documentation follow from these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

INSTANT = pa.timestamp("us", tz="UTC")

Parse = Literal["text", "token", "number", "instant"]


@dataclass(frozen=True)
class Column:
    """A column; `field` is the vendor's field it comes from, `parse` how that is parsed.

    `text` is stored as received; a `token` is a word, lower-cased, without white space; `number` and `instant` are
    parsed from text. A value that does not parse becomes null and is kept in `extra`.
    """

    name: str
    type: pa.DataType
    description: str
    field: str | None = None
    parse: Parse = "text"


@dataclass(frozen=True)
class Table:
    """A table and its columns, in order.

    `datasets` are the raw logs it is folded from; `started` is the column that assigns a row to its window.
    `account` and `window_start` are published with each row but not stored in lake files, whose path contains
    them.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    datasets: tuple[str, ...] = ()
    started: str = ""

    @property
    def vendor_columns(self) -> tuple[Column, ...]:
        """The columns that come from a vendor field."""
        return tuple(column for column in self.columns if column.field)

    @property
    def lake_columns(self) -> tuple[Column, ...]:
        """The columns of a lake file."""
        return tuple(column for column in self.columns if column.name not in {"account", "window_start"})

    @property
    def lake_schema(self) -> pa.Schema:
        """The schema of the table's lake files."""
        return pa.schema([(column.name, column.type) for column in self.lake_columns])


_ACCOUNT = Column("account", pa.string(), "Name of the account (IPLUM_ACCOUNT).")
_WINDOW = Column("window_start", pa.date32(), "First day (UTC) of the row's window.")
_SOURCE = Column("source", pa.string(), "Source of the record, as iPlum writes it.", "source")
_CLIENT = Column(
    "client_reference_id", pa.string(), "Custom value set on the account at iPlum.", "clientReferenceId"
)
_DIRECTION = Column("direction", pa.string(), "`in` or `out`, seen from the user.", "direction", "token")
_SEEN = (
    Column("origin", pa.string(), "How the record arrived: `pull`, `callback` or `both`."),
    Column("first_seen_at", INSTANT, "Time the record was first received."),
    Column("last_seen_at", INSTANT, "Time the record was last received."),
    Column(
        "absent_since",
        INSTANT,
        "Time of the first of the latest complete pulls that no longer returned the record; null while the API "
        "has it.",
    ),
)
_EXTRA = Column(
    "extra",
    pa.string(),
    "JSON object of undocumented fields and of values that did not parse; null if there are none.",
)

USAGE = Table(
    name="usage",
    description="Calls, texts and faxes, one row per record.",
    datasets=("usage", "usage_callbacks"),
    started="started_at",
    columns=(
        _ACCOUNT,
        Column("record_id", pa.string(), "iPlum's ID of the record, unique within the account.", "recordId"),
        _SOURCE,
        _CLIENT,
        Column("channel", pa.string(), "`call`, `text` or `fax`.", "usage", "token"),
        Column("type", pa.string(), "`iplum` (between iPlum users) or `external`.", "type", "token"),
        _DIRECTION,
        Column("from_party", pa.string(), "Number, login or short code of the sender or caller.", "from"),
        Column("to_party", pa.string(), "Number, login or short code of the recipient.", "to"),
        Column(
            "counterparty", pa.string(), "The other party: `from_party` of an inbound record, else `to_party`."
        ),
        Column("counterparty_kind", pa.string(), "`phone`, `login`, `short_code` or `other`."),
        Column("user_id", pa.string(), "Login of the iPlum user the record belongs to.", "userId"),
        Column("started_at", INSTANT, "Start time.", "startTimeUTC", "instant"),
        Column("ended_at", INSTANT, "End time.", "endTimeUTC", "instant"),
        Column("duration_minutes", pa.float64(), "Billed minutes; 1 for every text.", "duration", "number"),
        Column("credits", pa.float64(), "iPlum credits used; null if not reported.", "iPlumCredits", "number"),
        *_SEEN,
        _WINDOW,
        _EXTRA,
    ),
)

RECORDINGS = Table(
    name="recordings",
    description="Call recordings, one row per recording.",
    datasets=("recordings", "recording_callbacks"),
    started="recorded_at",
    columns=(
        _ACCOUNT,
        Column("record_id", pa.string(), "iPlum's ID of the recording, unique within the account.", "recordId"),
        _SOURCE,
        _CLIENT,
        Column("phone_number", pa.string(), "Number of the other party.", "phonenumber"),
        _DIRECTION,
        Column("user_id", pa.string(), "Login of the iPlum user the recording belongs to.", "userId"),
        Column("recorded_at", INSTANT, "Time of the recording.", "dateTimeUTC", "instant"),
        Column("duration_minutes", pa.float64(), "Recorded minutes.", "duration", "number"),
        Column("length_text", pa.string(), "Size of the file as iPlum writes it, such as `434.2 KB`.", "length"),
        Column(
            "length_bytes", pa.int64(), "Size in bytes (1 KB = 1024); approximate, because the text is rounded."
        ),
        *_SEEN,
        _WINDOW,
        _EXTRA,
    ),
)

PULLS = Table(
    name="pulls",
    description="Every API response and every callback, one row each.",
    columns=(
        _ACCOUNT,
        Column("dataset", pa.string(), "`usage`, `recordings`, `usage_callbacks` or `recording_callbacks`."),
        Column("window_start", pa.date32(), "First day (UTC) of the window the response is stored under."),
        Column("request_start", INSTANT, "Start of the requested range."),
        Column("request_end", INSTANT, "End of the requested range."),
        Column("usage_types", pa.string(), "Requested usage types, comma-separated; null for recordings."),
        Column(
            "reason",
            pa.string(),
            "Why it was requested: `pull`, `split` (part of a window that failed), `halves` (split check), "
            "`stray` (records returned for another window), `callback`, `audit`.",
        ),
        Column("pull_id", pa.string(), "ID shared by the responses of one pull of a window."),
        Column("complete", pa.bool_(), "Whether the response is known to be complete."),
        Column("pulled_at", INSTANT, "Time the response was received."),
        Column("rows", pa.int64(), "Records in the response; null if the request was refused."),
        Column("body_bytes", pa.int64(), "Size of the body in bytes."),
        Column("body_sha256", pa.string(), "SHA-256 of the body, in hexadecimal."),
    ),
)

RAW_COLUMNS = (*PULLS.columns, Column("body", pa.binary(), "The body, verbatim."))
_IN_RAW_PATH = {"account", "dataset", "window_start"}
RAW_SCHEMA = pa.schema([(c.name, c.type) for c in RAW_COLUMNS if c.name not in _IN_RAW_PATH])

_STATUS = (
    Column(
        "status",
        pa.string(),
        "`verified`; `pending` (not available yet) and `failed` (rejected, or lost since), which are retried; "
        "`gone` (not available for over a day).",
    ),
    Column("attempts", pa.int64(), "Number of attempts."),
    Column("error", pa.string(), "Why it is not verified; null if it is."),
    Column("fetched_at", INSTANT, "Time of the download or of the last attempt."),
)
_FILE = (
    Column("sha256", pa.string(), "SHA-256 of the file or of the body in UTF-8, in hexadecimal."),
    Column("bytes", pa.int64(), "Size of the file or of the body in UTF-8, in bytes."),
    Column("media_type", pa.string(), "Media type, by the first bytes."),
    Column("path", pa.string(), "Path of the file, relative to IPLUM_DATA; null for a body."),
)
_FETCHED = Column("record_id", pa.string(), "ID of the record it belongs to.")

CONTENTS = Table(
    name="contents",
    description="Contents of texts and faxes: a body or a file, one row per record that was attempted.",
    datasets=("contents",),
    columns=(
        _ACCOUNT,
        _FETCHED,
        Column("kind", pa.string(), "`text`, `media` (a file) or `empty`; null until verified."),
        Column("body", pa.string(), "Text of the message; null for a file."),
        *_FILE,
        *_STATUS,
        _WINDOW,
    ),
)

RECORDING_FILES = Table(
    name="recording_files",
    description="Files of call recordings, one row per recording that was attempted.",
    datasets=("recording_files",),
    columns=(_ACCOUNT, _FETCHED, *_FILE, *_STATUS, _WINDOW),
)

DOWNLOAD_LOG_SCHEMA = pa.schema(
    [
        ("record_id", pa.string()),
        ("attempted_at", INSTANT),
        ("status", pa.string()),
        *((c.name, c.type) for c in CONTENTS.columns if c.name in {"kind", "body", "error"}),
        *((c.name, c.type) for c in _FILE),
    ]
)

FOLDED_TABLES = (USAGE, RECORDINGS)
ARCHIVE_TABLES = (CONTENTS, RECORDING_FILES)
LAKE_TABLES = (*FOLDED_TABLES, *ARCHIVE_TABLES)
PUBLISHED_TABLES = (*LAKE_TABLES, PULLS)


def _pick(table: Table, *names: str) -> tuple[Column, ...]:
    return tuple(column for name in names for column in table.columns if column.name == name)


MESSAGES = Table(
    name="messages",
    description="Texts and faxes with their contents: `usage` joined with `contents`.",
    columns=(
        *_pick(USAGE, "account", "record_id", "started_at", "channel", "type", "direction", "user_id"),
        *_pick(USAGE, "from_party", "to_party", "counterparty"),
        *_pick(CONTENTS, "kind", "body", "path", "media_type", "bytes"),
        Column("status", pa.string(), "As in `contents`; `not fetched` if the archive has not attempted it."),
        *_pick(USAGE, "client_reference_id", "credits", "absent_since", "window_start"),
    ),
)
VIEWS = (MESSAGES,)


def table_of_dataset(dataset: str) -> Table:
    """Return the table that a raw dataset is folded into; raises `KeyError` for an unknown name."""
    return {dataset: table for table in FOLDED_TABLES for dataset in table.datasets}[dataset]
