"""Pulling a window until it is whole: narrower where the server fails, in halves where rows may be cut off.

Belongs here: when an answer is doubted, how it is proven, and when a window is split (DESIGN 7 and 8). Does not
belong here: single requests and their retries (`client`), and keeping what came (the caller does, at once).

The document names no cap on rows and no paging, so a full answer can't be told from a cut one by looking at it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from iplum_resource.answers import Answer
from iplum_resource.errors import Capped, ServerFailed, TimedOut, TooLarge, Unproven, WindowError
from iplum_resource.window import Window

Ask = Callable[[Window], Answer]
PullReason = Literal["pull", "split", "halves", "audit"]
Verify = Literal["auto", "always", "off"]

_NARROWEST_SPLIT = timedelta(hours=1)
_NARROWEST_PROOF = timedelta(minutes=1)
_ROUND_CAP = 50
# Nobody caps answers below this; a tie among smaller counts, or all of them in one half, is chance.
_SMALLEST_CAP = 10
_HOPELESS = 2


@dataclass(frozen=True)
class PulledAnswer:
    """An answer to keep; `complete` says that it is known to hold all there was for its request.

    An answer in doubt comes first as incomplete, and once more as complete when it is proven.
    """

    answer: Answer
    reason: PullReason
    complete: bool


@dataclass
class AnswerSizes:
    """What a run learns from the sizes of its answers; shared by its threads.

    `by_window` holds the rows of each answer to a whole window; start it with what earlier runs saw. `capped`
    collects the sizes at which answers were found cut off: whoever has such an answer must ask again.
    """

    by_window: dict[Window, int] = field(default_factory=dict)
    capped: set[int] = field(default_factory=set)
    widest_that_worked: timedelta | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def note(self, window: Window, rows: int) -> None:
        """Remember how many rows a whole window's answer had."""
        with self._lock:
            self.by_window[window] = rows

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
        if rows > 0 and rows % _ROUND_CAP == 0:
            return True
        with self._lock:
            others = [size for window, size in self.by_window.items() if window != besides]
            return rows in self.capped or (rows >= _SMALLEST_CAP and rows == max(others, default=0))


@dataclass(frozen=True)
class _Outcome:
    """What a stretch of time brought: its record ids, the answers that prove it, and what failed in it."""

    ids: frozenset[str]
    proof: tuple[tuple[Answer, PullReason], ...] = ()
    failed: WindowError | None = None


_Steps = Generator[PulledAnswer, None, _Outcome]


@dataclass
class WindowPull:
    """One pull of one window: iterate over it, keep each answer as it comes, and it ends when all is there.

    `ask` sends one request, with its retries. `now` cuts the window that is still open, whose later half is
    empty. Raises the errors of `ask`; `Capped` or `Unproven` for a window that can't be shown to be whole.
    A part that the server keeps refusing does not hold up the others: they come first, then its error.
    """

    ask: Ask
    window: Window
    sizes: AnswerSizes
    verify: Verify
    now: Callable[[], datetime]
    reason: PullReason = "pull"
    _succeeded: bool = False
    _refused: int = 0

    def __iter__(self) -> Iterator[PulledAnswer]:
        outcome = yield from self._pull(self.window, self.reason)
        if outcome.failed is not None:
            raise outcome.failed
        for answer, reason in outcome.proof:
            yield PulledAnswer(answer, reason, complete=True)

    def _pull(self, window: Window, reason: PullReason) -> _Steps:
        known = self.sizes.widest_that_worked
        if known is not None and window.width > max(known, _NARROWEST_SPLIT):
            return (yield from self._split(window))
        try:
            answer = self.ask(window)
        except (ServerFailed, TimedOut, TooLarge) as error:
            if window.width > _NARROWEST_SPLIT:
                return (yield from self._split(window))
            self._refused += 1
            if not self._succeeded and self._refused >= _HOPELESS:
                raise
            return _Outcome(frozenset(), failed=error)
        self._succeeded = True
        if reason == "split":
            self.sizes.note_width(window.width)
        if not self._is_doubted(answer):
            yield PulledAnswer(answer, reason, complete=True)
            return _Outcome(_ids(answer))
        return (yield from self._prove(answer, reason))

    def _split(self, window: Window) -> _Steps:
        early, late = window.halves()
        first = yield from self._pull(early, "split")
        second = yield from self._pull(late, "split")
        return _Outcome(first.ids | second.ids, first.proof + second.proof, first.failed or second.failed)

    def _is_doubted(self, answer: Answer) -> bool:
        rows = len(answer.records)
        suspect = self.sizes.is_suspect(rows, besides=answer.window)
        if answer.window == self.window:
            self.sizes.note(answer.window, rows)
        if self.verify == "off":
            return False
        return suspect or (self.verify == "always" and rows > 0)

    def _prove(self, answer: Answer, reason: PullReason) -> _Steps:
        yield PulledAnswer(answer, reason, complete=False)
        if answer.window.width <= _NARROWEST_PROOF:
            if not self.sizes.is_suspect(len(answer.records), besides=self.window):
                return _Outcome(_ids(answer), ((answer, reason),))
            raise Capped(str(answer.window), f"{len(answer.records)} rows in {answer.window.width}")
        ids, proof = frozenset[str](), tuple[tuple[Answer, PullReason], ...]()
        for half in answer.window.halves(at=self.now()):
            outcome = yield from self._prove_half(half, whole=answer)
            ids, proof = ids | outcome.ids, proof + outcome.proof
        missing = len(_ids(answer) - ids)
        if missing:
            raise Unproven(str(answer.window), f"{missing} rows came with the whole and with neither half")
        if ids == _ids(answer):
            return _Outcome(ids, ((answer, reason),))
        self.sizes.note_cap(len(answer.records))
        return _Outcome(ids, proof)

    def _prove_half(self, half: Window, *, whole: Answer) -> _Steps:
        answer = self.ask(half)
        rows = len(answer.records)
        as_large = rows >= max(_SMALLEST_CAP, len(whole.records))
        if as_large or self.sizes.is_suspect(rows, besides=self.window):
            return (yield from self._prove(answer, "halves"))
        yield PulledAnswer(answer, "halves", complete=False)
        return _Outcome(_ids(answer), ((answer, "halves"),))


def _ids(answer: Answer) -> frozenset[str]:
    return frozenset(str(r.get("recordId")) for r in answer.records if isinstance(r, dict) and r.get("recordId"))
