"""Every switch of the stand-in, with its default, as plain data."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Literal


def utc_now() -> datetime:
    """Tell the present, so that history reaches up to this moment; aware UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Choose what the vendor is like: its history, its readings of the document, and its faults.

    Times are aware UTC and days are UTC days. The history is a function of `seed`, `rows_per_day` and
    `users` alone; the other fields of that group only hide rows. `now` ends the history, `clock` plus
    `clock_offset` is the server's own clock: its Date header, and what an epoch is compared with. A fault
    `…_first=N` strikes the first N requests that reach it, a share strikes by a seeded draw on their
    count; both count anew when options are set. A fault of the body (`malformed`, `error_object`, `html`)
    is for answers that are arrays; resets, cuts, 429 and 500 are for all four endpoints, not for media.
    `push` is the base of the callback URIs, to which `/usage` and `/recordings` are added.

    Raises:
        ValueError: for `users` outside 1 to 500, or negative `rows_per_day`.

    """

    # credentials
    access_key: str = field(default="STANDINACCESSKEY", repr=False)
    secret_key: str = field(default="standin-secret", repr=False)
    login_id: str = "admin@clinic.example"
    sign_login: Literal["lower", "typed"] = "lower"
    max_epoch_age: timedelta = timedelta(minutes=5)
    clock: Callable[[], datetime] = utc_now
    clock_offset: timedelta = timedelta(0)

    # history
    seed: int = 1
    rows_per_day: float = 30
    users: int = 6
    first_day: date | None = None
    now: Callable[[], datetime] = utc_now
    purge_before: datetime | None = None
    late_rows: float = 0
    late_by: timedelta = timedelta(hours=6)

    # what the document leaves open
    filter_by: Literal["start", "end"] = "start"
    end_inclusive: bool = True
    row_cap: int | None = None
    unknown_fields: bool = False
    odd_rows: bool = False
    content_as: Literal["json", "plain"] = "json"
    refuse_types: frozenset[str] = frozenset()
    usage_permission: bool = True
    recording_plan: bool = True

    # faults of the service
    latency: float = 0
    rate_limit: float | None = None
    retry_after: Literal["seconds", "date"] | None = None
    fail_429_first: int = 0
    fail_500: float = 0
    fail_500_first: int = 0
    fail_500_days: frozenset[date] = frozenset()
    fail_500_wider_than: timedelta | None = None
    malformed_first: int = 0
    error_object_first: int = 0
    html_first: int = 0

    # faults of the connection
    reset: float = 0
    reset_first: int = 0
    cut: float = 0
    cut_first: int = 0
    cut_chunked_first: int = 0

    # callbacks
    push: str | None = field(default=None, repr=False)
    push_past: timedelta = timedelta(0)
    push_duplicates: float = 0
    push_reorder: float = 0
    push_drops: float = 0

    # media host
    media_base: str | None = None
    media_bytes: int = 24_000
    media_not_ready_first: int = 0
    media_cut: float = 0
    media_error_page: float = 0

    def __post_init__(self) -> None:
        if not 1 <= self.users <= 500:
            raise ValueError("users must be from 1 to 500: there are no more fictional numbers for them")
        if self.rows_per_day < 0:
            raise ValueError("rows_per_day must not be negative")
