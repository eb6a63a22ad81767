"""The window of one request: its limits, how it is split, and how it is written."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

#: The widest range that iPlum accepts (docs/iplum-api.md, "Get Usage Records").
WIDEST = timedelta(days=5)
#: The finest step of a request's dates.
NARROWEST = timedelta(milliseconds=1)


@dataclass(frozen=True, order=True)
class Window:
    """A half-open interval of time that one request may cover; `start` is included, `end` is not.

    Both are UTC; windows sort by start.

    Raises:
        ValueError: An instant is not in UTC, the end is less than a millisecond after the start, or the window is
            longer than five days (docs/iplum-api.md, "Get Usage Records").

    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            # Replace another library's UTC by the standard one, so that equal windows have equal reprs.
            object.__setattr__(self, name, _require_utc(name, getattr(self, name)))
        if self.width < NARROWEST:
            raise ValueError(f"a window must end at least a millisecond after its start, not {self}")
        if self.width > WIDEST:
            raise ValueError(f"iPlum accepts windows of at most five days, not {self}")

    @property
    def width(self) -> timedelta:
        """The length of the window."""
        return self.end - self.start

    @property
    def request_dates(self) -> tuple[str, str]:
        """The values of StartDate and EndDate, in UTC.

        Fractions of a millisecond are cut off at both ends, so adjacent windows remain adjacent.
        """
        return _format_date(self.start), _format_date(self.end)

    def halves(self, at: datetime | None = None) -> tuple["Window", "Window"]:
        """Split the window into two adjacent windows.

        The split is at `at` (UTC, rounded down to a millisecond) if that lies strictly inside, else in the middle,
        on a whole second where possible.

        Raises:
            ValueError: The window is shorter than two milliseconds, or `at` is not in UTC.

        """
        cut = None if at is None else _floor(_require_utc("at", at), NARROWEST)
        if cut is None or not self.start < cut < self.end:
            cut = self._middle()
        return Window(self.start, cut), Window(cut, self.end)

    def _middle(self) -> datetime:
        middle = self.start + self.width / 2
        # The last step is for a narrow window that does not start on a whole millisecond.
        for step in (timedelta(seconds=1), NARROWEST, timedelta.resolution):
            cut = _floor(middle, step)
            if cut - self.start >= NARROWEST and self.end - cut >= NARROWEST:
                return cut
        raise ValueError(f"the window is too narrow to split: {self}")

    def __str__(self) -> str:
        return f"{_format_instant(self.start)}/{_format_instant(self.end)}"


def _require_utc(name: str, instant: datetime) -> datetime:
    if instant.utcoffset() != timedelta(0):
        raise ValueError(f"{name} must be an instant in UTC, with its time zone: {instant.isoformat()}")
    return instant.astimezone(UTC)


def _floor(instant: datetime, step: timedelta) -> datetime:
    return instant - (instant - datetime.min.replace(tzinfo=UTC)) % step


def _format_date(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}.{instant.microsecond // 1000:03d}"


def _format_instant(instant: datetime) -> str:
    if instant.microsecond:
        timespec = "microseconds" if instant.microsecond % 1000 else "milliseconds"
    else:
        timespec = "seconds" if instant.second else "minutes"
    return instant.replace(tzinfo=None).isoformat(timespec=timespec) + "Z"
