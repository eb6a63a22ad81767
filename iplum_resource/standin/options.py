"""The options of the stand-in: default, help text and group of each. The command line is built from them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

_HISTORY, _DOCUMENT, _FAULTS, _MEDIA = "History", "Undocumented behavior", "Faults", "Media"
_CALLBACKS = "Callbacks"
_HOUR, _SECOND = timedelta(hours=1), timedelta(seconds=1)


def utc_now() -> datetime:
    """Return the current time, aware UTC."""
    return datetime.now(UTC)


def _option(
    default: Any, text: str, group: str | None = None, *, unit: timedelta | None = None, secret: bool = False
) -> Any:
    """Declare an option; durations are given on the command line in `unit`."""
    return field(default=default, repr=not secret, metadata={"help": text, "group": group, "unit": unit})


@dataclass(frozen=True, kw_only=True)
class Options:
    """The behavior of the stand-in: its history, how it reads the documentation, and its faults.

    Times are aware UTC and days are UTC days. The history depends only on `seed`, `rows_per_day` and `users`; the
    other fields of that group hide rows. `now` is the end of the history; `clock` plus `clock_offset` is the
    server's clock, for its Date header and for checking the epoch. A fault `…_first=N` affects the first N
    requests that reach it; a share affects a seeded random choice. Both restart when options are set.
    Faults of the body (`malformed`, `error_object`, `html`) affect array responses; resets, cuts, 429 and 500
    affect all four endpoints, but not media.

    Raises:
        ValueError: `users` is not from 1 to 500, or `rows_per_day` is negative.

    """

    access_key: str = _option("STANDINACCESSKEY", "Access key to accept.", secret=True)
    secret_key: str = _option("standin-secret", "Secret key to accept.", secret=True)
    login_id: str = _option("admin@clinic.example", "Login ID to accept.")
    sign_login: Literal["lower", "typed"] = _option("lower", "Case of the login ID in signatures.", _DOCUMENT)
    max_epoch_age: timedelta = timedelta(minutes=5)
    clock: Callable[[], datetime] = utc_now
    clock_offset: timedelta = _option(
        timedelta(0), "Seconds by which the server's clock is ahead.", _FAULTS, unit=_SECOND
    )

    seed: int = _option(1, "Seed of the generated history.", _HISTORY)
    rows_per_day: float = _option(30, "Usage rows per day.", _HISTORY)
    users: int = _option(6, "Users of the account, 1 to 500.", _HISTORY)
    first_day: date | None = _option(None, "First day with records.", _HISTORY)
    now: Callable[[], datetime] = utc_now
    purge_before: datetime | None = _option(
        None, "Hide records from before this time, as if iPlum had deleted them.", _HISTORY
    )
    late_rows: float = _option(0, "Share of rows that appear late, 0 to 1.", _HISTORY)
    late_by: timedelta = _option(timedelta(hours=6), "Hours by which late rows are delayed.", _HISTORY, unit=_HOUR)

    filter_by: Literal["start", "end"] = _option("start", "Timestamp used for date filters.", _DOCUMENT)
    end_inclusive: bool = _option(True, "Whether EndDate is included.", _DOCUMENT)
    row_cap: int | None = _option(None, "Maximum rows of a response; further rows are silently omitted.", _DOCUMENT)
    unknown_fields: bool = _option(False, "Add undocumented fields.", _DOCUMENT)
    odd_rows: bool = _option(False, "Add malformed rows.", _DOCUMENT)
    content_as: Literal["json", "plain"] = _option("json", "Encoding of a text's content.", _DOCUMENT)
    refuse_types: frozenset[str] = _option(frozenset(), "Usage types to reject, comma-separated.", _DOCUMENT)
    usage_permission: bool = _option(True, "Whether the account may request usage.", _DOCUMENT)
    recording_plan: bool = _option(True, "Whether the account has a recording plan.", _DOCUMENT)

    latency: float = _option(0, "Seconds before each response.", _FAULTS)
    rate_limit: float | None = _option(None, "Requests per second, beyond which the server responds with 429.", _FAULTS)
    retry_after: Literal["seconds", "date"] | None = _option(None, "Form of the Retry-After header of a 429.", _FAULTS)
    fail_429_first: int = _option(0, "Respond with 429 to the first N requests.", _FAULTS)
    fail_500: float = _option(0, "Share of requests that get a 500.", _FAULTS)
    fail_500_first: int = _option(0, "Respond with 500 to the first N requests.", _FAULTS)
    fail_500_days: frozenset[date] = _option(
        frozenset(), "Fail windows that contain these days, comma-separated.", _FAULTS
    )
    fail_500_wider_than: timedelta | None = _option(
        None, "Fail windows wider than this many hours.", _FAULTS, unit=_HOUR
    )
    malformed_first: int = _option(0, "Send broken JSON to the first N requests.", _FAULTS)
    error_object_first: int = _option(0, "Send an error object with status 200 to the first N requests.", _FAULTS)
    html_first: int = _option(0, "Send a web page to the first N requests.", _FAULTS)
    reset: float = _option(0, "Share of connections that are reset.", _FAULTS)
    reset_first: int = _option(0, "Reset the first N connections.", _FAULTS)
    cut: float = _option(0, "Share of bodies that are truncated.", _FAULTS)
    cut_first: int = _option(0, "Truncate the first N bodies.", _FAULTS)
    cut_chunked_first: int = _option(0, "Truncate the first N bodies, without Content-Length.", _FAULTS)

    push: str | None = _option(
        None, "Base URL of the callbacks, which are sent to URL/usage and URL/recordings.", _CALLBACKS, secret=True
    )
    push_past: timedelta = _option(timedelta(0), "Hours of past events to send at the start.", _CALLBACKS, unit=_HOUR)
    push_duplicates: float = _option(0, "Share of events sent twice.", _CALLBACKS)
    push_reorder: float = _option(0, "Share of events sent late, after others.", _CALLBACKS)
    push_drops: float = _option(0, "Share of events never sent.", _CALLBACKS)

    media_base: str | None = _option(None, "Base URL of media files. Default: the stand-in.", _MEDIA)
    media_bytes: int = _option(24_000, "Size of a file in bytes.", _MEDIA)
    media_not_ready_first: int = _option(0, "Respond with 404 to the first N requests for a file.", _MEDIA)
    media_cut: float = _option(0, "Share of truncated files.", _MEDIA)
    media_error_page: float = _option(0, "Share of files replaced by an error page.", _MEDIA)

    def __post_init__(self) -> None:
        if not 1 <= self.users <= 500:
            raise ValueError("users must be from 1 to 500: there are no more fictional numbers for them")
        if self.rows_per_day < 0:
            raise ValueError("rows_per_day must not be negative")
