"""The stretch of time that one request asks for."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

#: "The end date should not be greater than 5 days from the start date" (document, "Get Usage Records").
WIDEST = timedelta(days=5)
#: The finest step that a request can express: its dates carry milliseconds.
NARROWEST = timedelta(milliseconds=1)


@dataclass(frozen=True, order=True)
class Window:
    """Never ask the vendor for a range that it refuses or reads differently from what was meant.

    A half-open interval: `start` belongs to it, `end` doesn't. Both are instants in UTC; windows sort by
    their start. Raises ValueError for a naive or non-UTC instant, for an end that isn't at least a
    millisecond after the start, and for more than five days (document, "Get Usage Records", EndDate note).
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            # Frozen, yet another library's UTC is replaced by the standard one: equal windows look equal.
            object.__setattr__(self, name, _require_utc(name, getattr(self, name)))
        if self.width < NARROWEST:
            raise ValueError(f"a window ends at least a millisecond after its start, not {self}")
        if self.width > WIDEST:
            raise ValueError(f"iPlum takes windows of at most five days, not {self}")

    @property
    def width(self) -> timedelta:
        """How long the window is."""
        return self.end - self.start

    @property
    def request_dates(self) -> tuple[str, str]:
        """What to send as StartDate and EndDate, UTC, as in the document's "Request Body Example".

        A fraction of a millisecond is cut off at both ends alike, so windows that touch still touch.
        """
        return _write_date(self.start), _write_date(self.end)

    def halves(self, at: datetime | None = None) -> tuple["Window", "Window"]:
        """Ask for the same stretch in two requests that neither overlap nor leave a gap.

        The cut is at `at` (UTC, rounded down to a millisecond) when that lies strictly inside, else in the
        middle, on a whole second, or on a millisecond where the window is too narrow for that. Raises
        ValueError for a window under two milliseconds, and for an `at` that is not in UTC.
        """
        cut = None if at is None else _floor(_require_utc("at", at), NARROWEST)
        if cut is None or not self.start < cut < self.end:
            cut = self._middle()
        return Window(self.start, cut), Window(cut, self.end)

    def _middle(self) -> datetime:
        middle = self.start + self.width / 2
        # The last step is that of the clock: for a window that is narrow and not on whole milliseconds.
        for step in (timedelta(seconds=1), NARROWEST, timedelta.resolution):
            cut = _floor(middle, step)
            if cut - self.start >= NARROWEST and self.end - cut >= NARROWEST:
                return cut
        raise ValueError(f"too narrow to be cut in two: {self}")

    def __str__(self) -> str:
        return f"{_write_instant(self.start)}/{_write_instant(self.end)}"


def _require_utc(name: str, instant: datetime) -> datetime:
    if instant.utcoffset() != timedelta(0):
        raise ValueError(f"{name} must be an instant in UTC, with its time zone: {instant.isoformat()}")
    return instant.astimezone(UTC)


def _floor(instant: datetime, step: timedelta) -> datetime:
    return instant - (instant - datetime.min.replace(tzinfo=UTC)) % step


def _write_date(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}.{instant.microsecond // 1000:03d}"


def _write_instant(instant: datetime) -> str:
    if instant.microsecond:
        timespec = "microseconds" if instant.microsecond % 1000 else "milliseconds"
    else:
        timespec = "seconds" if instant.second else "minutes"
    return instant.replace(tzinfo=None).isoformat(timespec=timespec) + "Z"
