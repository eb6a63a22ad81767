"""Pulling a window until it is whole: narrower where the server fails, in halves where rows may be cut off.

The document names no cap on rows and no paging, so a full answer can't be told from a cut one by looking at it.
All proof rests on one thing: a cap is a number of rows, the same for every request of a run. So who sends more
rows once does not cut at fewer, and an answer that is smaller than another was not cut off.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from iplum_resource.errors import (
    ResponseTooLarge,
    RowCapReached,
    ServerFailed,
    SplitCheckFailed,
    TimedOut,
    WindowError,
)
from iplum_resource.http.responses import WindowResponse
from iplum_resource.window import WIDEST, Window

FetchWindow = Callable[[Window], WindowResponse]
PullReason = Literal["pull", "split", "halves", "audit"]
Verify = Literal["auto", "always", "off"]

_NARROWEST_SPLIT = timedelta(hours=1)
# The document's times have whole seconds: what is narrower can't part rows.
_NARROWEST_PROOF = timedelta(seconds=1)
_ROUND_CAP = 50
# Nobody caps answers below this; a tie among smaller counts, or all of them in one half, is chance.
_SMALLEST_CAP = 10
# So many stretches refused in a row raise the question whether the server answers anything at all.
_HOPELESS = 2


@dataclass(frozen=True)
class PulledResponse:
    """An answer to keep; `complete` says that it is known to hold all there was for its request.

    An answer in doubt comes first as incomplete, and once more as complete when it is proven.
    """

    answer: WindowResponse
    reason: PullReason
    complete: bool


@dataclass
class ResponseSizes:
    """What a run learns from the sizes of its answers; shared by its threads.

    `by_window` holds the rows of the answer to each window, or to the parts it had to be split into; start it
    with what earlier runs saw. `capped` collects the sizes at which answers were found cut off: whoever has such
    an answer must ask again. `largest_seen` is of this run alone, as a cap may have come since the earlier ones.
    """

    by_window: dict[Window, int] = field(default_factory=dict)
    capped: set[int] = field(default_factory=set)
    largest_seen: int = 0
    widest_that_worked: timedelta | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def note(self, window: Window, rows: int) -> None:
        """Remember how many rows the answer to a window, or to a part that was asked for alone, had."""
        with self._lock:
            self.by_window[window] = rows
            self.largest_seen = max(self.largest_seen, rows)

    def note_size(self, rows: int) -> None:
        """Remember that an answer of this run had so many rows, whatever it was to."""
        with self._lock:
            self.largest_seen = max(self.largest_seen, rows)

    def is_beaten(self, rows: int) -> bool:
        """Say whether this run saw a larger answer, so that one of so many rows can't have been cut off."""
        with self._lock:
            return rows < self.largest_seen and rows not in self.capped

    def note_cap(self, rows: int) -> None:
        """Remember that answers are cut off at this size."""
        with self._lock:
            self.capped.add(rows)

    def note_width(self, width: timedelta) -> None:
        """Remember that a request of this width succeeded where a wider one had failed."""
        with self._lock:
            self.widest_that_worked = max(width, self.widest_that_worked or width)

    def is_suspect(self, rows: int, *, besides: Window) -> bool:
        """Say whether an answer of so many rows may be cut off: a round number, or a largest that is tied."""
        if rows < _SMALLEST_CAP:
            return False
        if rows % _ROUND_CAP == 0:
            return True
        with self._lock:
            others = [size for window, size in self.by_window.items() if window != besides]
            return rows in self.capped or rows == max(others, default=0)


@dataclass(frozen=True)
class _Outcome:
    """What a stretch of time brought: the ids of what was doubted, the answers that prove it, and what failed."""

    ids: frozenset[str] = frozenset()
    proof: tuple[tuple[WindowResponse, PullReason], ...] = ()
    failed: WindowError | None = None

    def join(self, later: _Outcome) -> _Outcome:
        return _Outcome(self.ids | later.ids, self.proof + later.proof, self.failed or later.failed)


_Steps = Generator[PulledResponse, None, _Outcome]


@dataclass
class WindowPull:
    """One pull of one window: iterate over it, keep each answer as it comes, and it ends when all is there.

    `ask` sends one request, with its retries; `fetch_once`, where it is given, gives up at the first 500 or
    time-out: with it the rest of a window is asked for once a stretch of it was given up, since a day that the
    server can't bear has twenty-four such hours. `now` cuts the window that is still open, whose later half is
    empty. Raises the errors of `ask`; `Capped` or `Unproven` for a window that can't be shown to be whole.
    A part that the server keeps refusing, or that can't be shown to be whole, does not hold up the others: they
    come first, then its error.
    """

    ask: FetchWindow
    window: Window
    sizes: ResponseSizes
    verify: Verify
    now: Callable[[], datetime]
    reason: PullReason = "pull"
    fetch_once: FetchWindow | None = None
    # Before the first answer, one refusal is enough to ask whether the server answers anything.
    _refused_in_a_row: int = _HOPELESS - 1
    _answered: set[Window] = field(default_factory=set)
    _gave_up: bool = False

    def __iter__(self) -> Iterator[PulledResponse]:
        outcome = yield from self._pull(self.window, self.reason)
        for answer, reason in outcome.proof:
            yield PulledResponse(answer, reason, complete=True)
        if outcome.failed is not None:
            raise outcome.failed

    def _pull(self, window: Window, reason: PullReason) -> _Steps:
        known = self.sizes.widest_that_worked
        if known is not None and window.width > max(known, _NARROWEST_SPLIT):
            return (yield from self._split(window))
        try:
            answer = self._ask(window)
        except (ServerFailed, TimedOut, ResponseTooLarge) as error:
            if window.width > _NARROWEST_SPLIT:
                return (yield from self._split(window))
            return (yield from self._leave_out(window, error))
        if not self._is_doubted(answer):
            yield PulledResponse(answer, reason, complete=True)
            return _Outcome()
        return (yield from self._prove(answer, reason))

    def _ask(self, window: Window) -> WindowResponse:
        ask = self.fetch_once if self._gave_up and self.fetch_once else self.ask
        answer = ask(window)
        self._refused_in_a_row = 0
        self._answered.add(window)
        return answer

    def _split(self, window: Window) -> _Steps:
        early, late = window.halves()
        reason: PullReason = "audit" if self.reason == "audit" else "split"
        first = yield from self._pull(early, reason)
        second = yield from self._pull(late, reason)
        # Where one half fails as well, it is what lies in it that the server can't bear, and not the width.
        if {early, late} <= self._answered:
            self.sizes.note_width(max(early.width, late.width))
        return first.join(second)

    def _leave_out(self, window: Window, error: WindowError) -> _Steps:
        """Go on without a stretch that the server refuses, or raise when it refuses the far end as well."""
        self._refused_in_a_row += 1
        self._gave_up = True
        if self._refused_in_a_row >= _HOPELESS and window != self.window:
            yield PulledResponse(self._ask(self._find_far_hour(window)), "split", complete=False)
        return _Outcome(failed=error)

    def _find_far_hour(self, window: Window) -> Window:
        start, end = self.window.start, self.window.end
        if window.start - start < end - window.end:
            return Window(max(start, end - _NARROWEST_SPLIT), end)
        return Window(start, min(end, start + _NARROWEST_SPLIT))

    def _is_doubted(self, answer: WindowResponse) -> bool:
        rows = answer.rows
        # Noted, then compared: of two threads that have the same size at once, one must see the other's.
        self.sizes.note(answer.window, rows)
        if self.verify == "off":
            return False
        suspect = self.sizes.is_suspect(rows, besides=answer.window)
        return suspect or (self.verify == "always" and rows > 0)

    def _prove(self, answer: WindowResponse, reason: PullReason) -> _Steps:
        yield PulledResponse(answer, reason, complete=False)
        window, rows, ids = answer.window, answer.rows, _ids(answer)
        if window.width <= _NARROWEST_PROOF:
            if rows < _SMALLEST_CAP or self._find_larger(answer):
                return _Outcome(ids, ((answer, reason),))
            return _Outcome(ids, failed=RowCapReached(str(window), f"{rows} rows in {window.width}"))
        # The open window is cut at now once: cut again at each later now, it would never get narrow.
        cut = None if reason == "halves" else self.now()
        halves = yield from self._prove_halves(window.halves(cut), whole=answer)
        if halves.ids - ids:
            self.sizes.note_cap(rows)
        missing = len(ids - halves.ids)
        if missing:
            text = f"{missing} rows came with the whole and with neither half"
            return _Outcome(ids | halves.ids, failed=halves.failed or SplitCheckFailed(str(window), text))
        whole_is_proven = halves.failed is None and halves.ids == ids
        return _Outcome(ids, ((answer, reason),)) if whole_is_proven else halves

    def _find_larger(self, answer: WindowResponse) -> bool:
        """Look for an answer of more rows than a busy second has, which proves that this one is no cap.

        Asked for are the widest stretches that end and begin with the second: one row more is enough. They are
        counted and not kept, as what they hold is asked for with the windows that they touch.
        """
        rows, second = answer.rows, answer.window
        width = self.sizes.widest_that_worked or WIDEST
        for wide in (Window(second.end - width, second.end), Window(second.start, second.start + width)):
            if self.sizes.is_beaten(rows):
                break
            try:
                self.sizes.note_size(self._ask(wide).rows)
            except (ServerFailed, TimedOut, ResponseTooLarge):
                continue  # that proves nothing, and the second itself was answered
        return self.sizes.is_beaten(rows)

    def _prove_halves(self, halves: tuple[Window, Window], *, whole: WindowResponse) -> _Steps:
        first = yield from self._prove_half(halves[0], whole=whole)
        second = yield from self._prove_half(halves[1], whole=whole)
        return first.join(second)

    def _prove_half(self, half: Window, *, whole: WindowResponse) -> _Steps:
        try:
            answer = self._ask(half)
        except (ServerFailed, TimedOut, ResponseTooLarge) as error:
            if half.width > _NARROWEST_SPLIT:
                return (yield from self._prove_halves(half.halves(), whole=whole))
            return (yield from self._leave_out(half, error))
        rows = answer.rows
        as_large = rows >= max(_SMALLEST_CAP, whole.rows) and not self.sizes.is_beaten(rows)
        if as_large or self.sizes.is_suspect(rows, besides=self.window):
            return (yield from self._prove(answer, "halves"))
        yield PulledResponse(answer, "halves", complete=False)
        return _Outcome(_ids(answer), ((answer, "halves"),))


def _ids(answer: WindowResponse) -> frozenset[str]:
    return frozenset(str(r.get("recordId")) for r in answer.records if isinstance(r, dict) and r.get("recordId"))
