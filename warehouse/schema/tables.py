"""Every column, its type and what it means; the one source for files, tables and documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

INSTANT = pa.timestamp("us", tz="UTC")

Parse = Literal["text", "token", "number", "instant"]


@dataclass(frozen=True)
class Column:
    """A column: `field` is the vendor's name where one stands behind it, and `parse` how its text is read.

    `text` stays as received; a `token` is an enum's word, lower-cased, without white space; a `number` and an
    `instant` are read from text. What doesn't read becomes null and is kept in `extra`.
    """

    name: str
    type: pa.DataType
    description: str
    field: str | None = None
    parse: Parse = "text"


@dataclass(frozen=True)
class Table:
    """A table: its columns in order, `datasets` the raw logs that it is folded from, `key` what is unique.

    `started` names the column by which a row is filed into its window. `account` and `window_start` are
    published with each row but not held in lake files, where the path says them.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    datasets: tuple[str, ...] = ()
    started: str = ""

    @property
    def vendor_columns(self) -> tuple[Column, ...]:
        """The columns that come from a field of the vendor's record."""
        return tuple(column for column in self.columns if column.field)

    @property
    def lake_columns(self) -> tuple[Column, ...]:
        """The columns of a lake file: all but those that its path says."""
        return tuple(column for column in self.columns if column.name not in {"account", "window_start"})

    @property
    def lake_schema(self) -> pa.Schema:
        """The schema that every lake file of this table is written with."""
        return pa.schema([(column.name, column.type) for column in self.lake_columns])


_ACCOUNT = Column("account", pa.string(), "The account's name (IPLUM_ACCOUNT).")
_WINDOW = Column("window_start", pa.date32(), "First day (UTC) of the window that the row is filed in.")
_SOURCE = Column("source", pa.string(), "Source of the record as the vendor says it: iPlum.", "source")
_CLIENT = Column(
    "client_reference_id", pa.string(), "Custom value set on the account at iPlum.", "clientReferenceId"
)
_DIRECTION = Column("direction", pa.string(), "`in` or `out`, seen from the user.", "direction", "token")
_SEEN = (
    Column("origin", pa.string(), "What brought the record: `pull`, `callback` or `both`."),
    Column("first_seen_at", INSTANT, "When the record was first received."),
    Column("last_seen_at", INSTANT, "When the record was last received."),
    Column(
        "absent_since",
        INSTANT,
        "First of the latest complete pulls that no longer brought the record; null while the API has it.",
    ),
)
_EXTRA = Column(
    "extra", pa.string(), "JSON of fields that the document doesn't name or that didn't read; else null."
)

USAGE = Table(
    name="usage",
    description="Every call, text and fax of each user, one row a record.",
    datasets=("usage", "usage_callbacks"),
    started="started_at",
    columns=(
        _ACCOUNT,
        Column("record_id", pa.string(), "The vendor's id of the record, unique in its account.", "recordId"),
        _SOURCE,
        _CLIENT,
        Column("channel", pa.string(), "`call`, `text` or `fax`.", "usage", "token"),
        Column("type", pa.string(), "`iplum` (between iPlum users) or `external`.", "type", "token"),
        _DIRECTION,
        Column("from_party", pa.string(), "Number, login or short code it came from.", "from"),
        Column("to_party", pa.string(), "Number, login or short code it went to.", "to"),
        Column("counterparty", pa.string(), "The other side: `from_party` of an inbound record, else `to_party`."),
        Column("counterparty_kind", pa.string(), "`phone`, `login`, `short_code` or `other`."),
        Column("user_id", pa.string(), "The iPlum user whom the record belongs to.", "userId"),
        Column("started_at", INSTANT, "When it started.", "startTimeUTC", "instant"),
        Column("ended_at", INSTANT, "When it ended.", "endTimeUTC", "instant"),
        Column("duration_minutes", pa.float64(), "Minutes as billed; a text always says 1.", "duration", "number"),
        Column("credits", pa.float64(), "iPlum credits used; null is not 0.", "iPlumCredits", "number"),
        *_SEEN,
        _WINDOW,
        _EXTRA,
    ),
)

RECORDINGS = Table(
    name="recordings",
    description="Every call recording that the vendor announces, one row a recording.",
    datasets=("recordings", "recording_callbacks"),
    started="recorded_at",
    columns=(
        _ACCOUNT,
        Column("record_id", pa.string(), "The vendor's id of the recording, unique in its account.", "recordId"),
        _SOURCE,
        _CLIENT,
        Column("phone_number", pa.string(), "The called or calling party.", "phonenumber"),
        _DIRECTION,
        Column("user_id", pa.string(), "The iPlum user whom the recording belongs to.", "userId"),
        Column("recorded_at", INSTANT, "When it was recorded.", "dateTimeUTC", "instant"),
        Column("duration_minutes", pa.float64(), "Minutes recorded.", "duration", "number"),
        Column("length_text", pa.string(), "The file's size in the vendor's words, as `434.2 KB`.", "length"),
        Column("length_bytes", pa.int64(), "The same in bytes (1 KB = 1024), approximate as the text is rounded."),
        *_SEEN,
        _WINDOW,
        _EXTRA,
    ),
)

PULLS = Table(
    name="pulls",
    description="The ledger: every answer of the API and every pushed event, one row each.",
    columns=(
        _ACCOUNT,
        Column("dataset", pa.string(), "`usage`, `recordings`, `usage_callbacks` or `recording_callbacks`."),
        Column("window_start", pa.date32(), "First day (UTC) of the window that the answer is filed in."),
        Column("request_start", INSTANT, "First instant that was asked for."),
        Column("request_end", INSTANT, "End of what was asked for."),
        Column("usage_types", pa.string(), "The usage types asked for, comma-separated; null for recordings."),
        Column(
            "reason",
            pa.string(),
            "Why it was asked: `pull`, `split` (the whole was refused), `halves` (proof against a silent cap), "
            "`stray` (rows that another window's answer brought), `callback`, `audit`.",
        ),
        Column("pull_id", pa.string(), "Shared by the answers of one pull of one window."),
        Column("complete", pa.bool_(), "Whether the answer holds all there was for its request."),
        Column("pulled_at", INSTANT, "When the answer was received."),
        Column("rows", pa.int64(), "Elements in the answer; null when the request was refused."),
        Column("body_bytes", pa.int64(), "Size of the answer's body."),
        Column("body_sha256", pa.string(), "Hash of the answer's body, in hexadecimal."),
    ),
)

RAW_COLUMNS = (*PULLS.columns, Column("body", pa.binary(), "The answer, byte by byte."))
_IN_RAW_PATH = {"account", "dataset", "window_start"}
RAW_SCHEMA = pa.schema([(c.name, c.type) for c in RAW_COLUMNS if c.name not in _IN_RAW_PATH])

_STATUS = (
    Column(
        "status",
        pa.string(),
        "`verified`; `pending` (nothing to fetch yet), `failed` (what came can't be kept, or what was kept is "
        "lost): both are tried again; `gone` (nothing for over a day).",
    ),
    Column("attempts", pa.int64(), "How often it was tried."),
    Column("error", pa.string(), "Why it is not verified; else null."),
    Column("fetched_at", INSTANT, "When it was fetched, or last tried."),
)
_FILE = (
    Column("sha256", pa.string(), "Hash of the file, or of the body in UTF-8, in hexadecimal."),
    Column("bytes", pa.int64(), "Size of the file, or of the body in UTF-8."),
    Column("media_type", pa.string(), "What it is, by its first bytes."),
    Column("path", pa.string(), "Where the file stands, relative to IPLUM_DATA; null for a body."),
)
_FETCHED = Column("record_id", pa.string(), "The record that it belongs to.")

CONTENTS = Table(
    name="contents",
    description="What a text or fax held: its body, or its file; one row a record that was tried.",
    datasets=("contents",),
    columns=(
        _ACCOUNT,
        _FETCHED,
        Column("kind", pa.string(), "`text`, `media` (a file), or `empty`; null until verified."),
        Column("body", pa.string(), "The text as it was sent; null for a file."),
        *_FILE,
        *_STATUS,
        _WINDOW,
    ),
)

RECORDING_FILES = Table(
    name="recording_files",
    description="The file of a call recording; one row a recording that was tried.",
    datasets=("recording_files",),
    columns=(_ACCOUNT, _FETCHED, *_FILE, *_STATUS, _WINDOW),
)

ATTEMPT_SCHEMA = pa.schema(
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
    description="Every text and fax with what it held: `usage` joined with `contents`; the one to open first.",
    columns=(
        *_pick(USAGE, "account", "record_id", "started_at", "channel", "type", "direction", "user_id"),
        *_pick(USAGE, "from_party", "to_party", "counterparty"),
        *_pick(CONTENTS, "kind", "body", "path", "media_type", "bytes"),
        Column("status", pa.string(), "As in `contents`; `not fetched` where the archive hasn't tried it."),
        *_pick(USAGE, "client_reference_id", "credits", "absent_since", "window_start"),
    ),
)
VIEWS = (MESSAGES,)


def table_of_dataset(dataset: str) -> Table:
    """Say which table a raw dataset is folded into; `KeyError` for a name that is none."""
    return {dataset: table for table in FOLDED_TABLES for dataset in table.datasets}[dataset]
