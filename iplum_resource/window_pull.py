"""Fetching one window completely: splitting it where the server fails, and checking suspicious row counts.

iPlum names no row cap and no paging, so a truncated response looks complete. The split check rests on one
assumption: a cap is the same number of rows for every request of a run. So a server that once sends more rows does
not truncate at fewer (docs/design.md, "Row caps and split checks").
"""

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from iplum_resource.errors import ResponseTooLarge, RowCapReached, ServerFailed, SplitCheckFailed, TimedOut, WindowError
from iplum_resource.fields import get_field
from iplum_resource.http.responses import WindowResponse
from iplum_resource.window import WIDEST, Window

FetchWindow = Callable[[Window], WindowResponse]
PullReason = Literal["pull", "split", "halves", "audit"]
Verify = Literal["auto", "always", "off"]

_NARROWEST_SPLIT = timedelta(hours=1)
# The API's times have whole seconds, so a narrower window cannot separate records.
_NARROWEST_CHECK = timedelta(seconds=1)
_ROUND_CAP = 50
# No API has a cap below this; a tie between smaller counts, or all rows in one half, is chance.
_SMALLEST_CAP = 10
# After this many failed parts in a row, check whether the server responds at all.
_MAX_FAILURES_IN_A_ROW = 2


@dataclass(frozen=True)
class PulledResponse:
    """A response to store; `complete` is whether it is known to hold all records of its request.

    A suspicious response comes first as incomplete, and again as complete once it is confirmed.
    """

    response: WindowResponse
    reason: PullReason
    complete: bool


@dataclass
class ResponseSizes:
    """Row counts of the responses of a run, shared by its threads.

    Args:
        by_window: Rows of the response for each window, or for the parts it was split into. Start it with what
            earlier runs saw.
        row_caps: Row counts at which responses were found truncated. Windows with such a count must be requested
            again.
        largest_seen: The largest count of this run; a cap may be newer than earlier runs.
        widest_that_worked: The width that succeeded after a wider window had failed.

    """

    by_window: dict[Window, int] = field(default_factory=dict)
    row_caps: set[int] = field(default_factory=set)
    largest_seen: int = 0
    widest_that_worked: timedelta | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, window: Window, rows: int) -> None:
        """Add the row count of a window, or of a part that was requested on its own."""
        with self._lock:
            self.by_window[window] = rows
            self.largest_seen = max(self.largest_seen, rows)

    def add_size(self, rows: int) -> None:
        """Add the row count of any other response of this run."""
        with self._lock:
            self.largest_seen = max(self.largest_seen, rows)

    def is_exceeded(self, rows: int) -> bool:
        """Whether this run saw a larger response, so that one with this row count was not truncated."""
        with self._lock:
            return rows < self.largest_seen and rows not in self.row_caps

    def add_row_cap(self, rows: int) -> None:
        """Add a row count at which responses are truncated."""
        with self._lock:
            self.row_caps.add(rows)

    def add_width(self, width: timedelta) -> None:
        """Add the width of a request that succeeded after a wider one had failed."""
        with self._lock:
            self.widest_that_worked = max(width, self.widest_that_worked or width)

    def is_suspicious(self, rows: int, *, besides: Window) -> bool:
        """Whether a response may be truncated: its row count is round, or equals the largest one."""
        if rows < _SMALLEST_CAP:
            return False
        if rows % _ROUND_CAP == 0:
            return True
        with self._lock:
            others = [size for window, size in self.by_window.items() if window != besides]
            return rows in self.row_caps or rows == max(others, default=0)


@dataclass(frozen=True)
class _Outcome:
    """The result for one part of a window: IDs of checked responses, confirmed responses, and an error."""

    ids: frozenset[str] = frozenset()
    confirmed: tuple[tuple[WindowResponse, PullReason], ...] = ()
    failed: WindowError | None = None

    def join(self, later: "_Outcome") -> "_Outcome":
        return _Outcome(self.ids | later.ids, self.confirmed + later.confirmed, self.failed or later.failed)


_Steps = Generator[PulledResponse, None, _Outcome]


@dataclass
class WindowPull:
    """One pull of one window. Iterate over it and store each response.

    A part that the server keeps rejecting, or that cannot be confirmed, does not hold up the others: they come
    first, then its error.

    Args:
        fetch: Sends one request, with its retries.
        verify: `auto` checks suspicious row counts, `always` checks every response, `off` none.
        now: Returns the time (UTC). The open window is split there, because its later half is empty.
        fetch_once: Like `fetch`, but fails at the first 500 or timeout. It is used for the rest of a window once a
            part of it was skipped: a failing day has twenty-four such hours.

    Raises:
        IPlumError: The errors of `fetch`.
        SplitCheckFailed: The window, or a part of it, cannot be confirmed.

    """

    fetch: FetchWindow
    window: Window
    sizes: ResponseSizes
    verify: Verify
    now: Callable[[], datetime]
    reason: PullReason = "pull"
    fetch_once: FetchWindow | None = None
    # Before the first response, one failure is enough.
    _failures_in_a_row: int = _MAX_FAILURES_IN_A_ROW - 1
    _fetched: set[Window] = field(default_factory=set)
    _gave_up: bool = False

    def __iter__(self) -> Iterator[PulledResponse]:
        outcome = yield from self._pull(self.window, self.reason)
        for response, reason in outcome.confirmed:
            yield PulledResponse(response, reason, complete=True)
        if outcome.failed is not None:
            raise outcome.failed

    def _pull(self, window: Window, reason: PullReason) -> _Steps:
        known = self.sizes.widest_that_worked
        if known is not None and window.width > max(known, _NARROWEST_SPLIT):
            return (yield from self._split(window))
        try:
            response = self._fetch(window)
        except (ServerFailed, TimedOut, ResponseTooLarge) as error:
            if window.width > _NARROWEST_SPLIT:
                return (yield from self._split(window))
            return (yield from self._skip(window, error))
        if not self._is_suspicious(response):
            yield PulledResponse(response, reason, complete=True)
            return _Outcome()
        return (yield from self._check_split(response, reason))

    def _fetch(self, window: Window) -> WindowResponse:
        fetch = self.fetch_once if self._gave_up and self.fetch_once else self.fetch
        response = fetch(window)
        self._failures_in_a_row = 0
        self._fetched.add(window)
        return response

    def _split(self, window: Window) -> _Steps:
        early, late = window.halves()
        reason: PullReason = "audit" if self.reason == "audit" else "split"
        first = yield from self._pull(early, reason)
        second = yield from self._pull(late, reason)
        # If one half fails as well, the cause is its content, not the width.
        if {early, late} <= self._fetched:
            self.sizes.add_width(max(early.width, late.width))
        return first.join(second)

    def _skip(self, window: Window, error: WindowError) -> _Steps:
        """Skip a part that the server rejects, or raise if it also rejects the far end of the window."""
        self._failures_in_a_row += 1
        self._gave_up = True
        if self._failures_in_a_row >= _MAX_FAILURES_IN_A_ROW and window != self.window:
            yield PulledResponse(self._fetch(self._find_far_hour(window)), "split", complete=False)
        return _Outcome(failed=error)

    def _find_far_hour(self, window: Window) -> Window:
        start, end = self.window.start, self.window.end
        if window.start - start < end - window.end:
            return Window(max(start, end - _NARROWEST_SPLIT), end)
        return Window(start, min(end, start + _NARROWEST_SPLIT))

    def _is_suspicious(self, response: WindowResponse) -> bool:
        rows = response.rows
        # Add, then compare: of two threads with the same size, one must see the other's.
        self.sizes.add(response.window, rows)
        if self.verify == "off":
            return False
        suspect = self.sizes.is_suspicious(rows, besides=response.window)
        return suspect or (self.verify == "always" and rows > 0)

    def _check_split(self, response: WindowResponse, reason: PullReason) -> _Steps:
        yield PulledResponse(response, reason, complete=False)
        window, rows, ids = response.window, response.rows, _ids(response)
        if window.width <= _NARROWEST_CHECK:
            if rows < _SMALLEST_CAP or self._find_larger(response):
                return _Outcome(ids, ((response, reason),))
            return _Outcome(ids, failed=RowCapReached(str(window), f"{rows} rows in {window.width}"))
        # The open window is split at the current time only once. Otherwise it would never become narrow.
        split_at = None if reason == "halves" else self.now()
        halves = yield from self._check_halves(window.halves(split_at), whole=response)
        if halves.ids - ids:
            self.sizes.add_row_cap(rows)
        missing = len(ids - halves.ids)
        if missing:
            text = f"{missing} rows are in the window's response and in neither half"
            return _Outcome(ids | halves.ids, failed=halves.failed or SplitCheckFailed(str(window), text))
        is_confirmed = halves.failed is None and halves.ids == ids
        return _Outcome(ids, ((response, reason),)) if is_confirmed else halves

    def _find_larger(self, response: WindowResponse) -> bool:
        """Whether another response has more rows than this response for one second, which proves that it is complete.

        Requests the widest window that ends with the second, then the widest that begins with it, until one has more
        rows. They are only counted: their records are fetched with their own windows.
        """
        rows, second = response.rows, response.window
        width = self.sizes.widest_that_worked or WIDEST
        for wide in (Window(second.end - width, second.end), Window(second.start, second.start + width)):
            if self.sizes.is_exceeded(rows):
                break
            try:
                self.sizes.add_size(self._fetch(wide).rows)
            except (ServerFailed, TimedOut, ResponseTooLarge):
                continue  # inconclusive
        return self.sizes.is_exceeded(rows)

    def _check_halves(self, halves: tuple[Window, Window], *, whole: WindowResponse) -> _Steps:
        first = yield from self._check_half(halves[0], whole=whole)
        second = yield from self._check_half(halves[1], whole=whole)
        return first.join(second)

    def _check_half(self, half: Window, *, whole: WindowResponse) -> _Steps:
        try:
            response = self._fetch(half)
        except (ServerFailed, TimedOut, ResponseTooLarge) as error:
            if half.width > _NARROWEST_SPLIT:
                return (yield from self._check_halves(half.halves(), whole=whole))
            return (yield from self._skip(half, error))
        rows = response.rows
        is_as_large = rows >= max(_SMALLEST_CAP, whole.rows) and not self.sizes.is_exceeded(rows)
        if is_as_large or self.sizes.is_suspicious(rows, besides=self.window):
            return (yield from self._check_split(response, "halves"))
        yield PulledResponse(response, "halves", complete=False)
        return _Outcome(_ids(response), ((response, "halves"),))


def _ids(response: WindowResponse) -> frozenset[str]:
    ids = (get_field(record, "recordId") for record in response.records if isinstance(record, dict))
    return frozenset(str(record_id) for record_id in ids if record_id)
