"""Pulling windows side by side: each answer is kept the moment it comes, each finished window is folded."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from iplum_resource.errors import AccountError, Forbidden, IPlumError
from iplum_resource.http.responses import WindowResponse
from iplum_resource.window import Window
from iplum_resource.window_pull import FetchWindow, PulledResponse, PullReason, ResponseSizes, WindowPull
from pipelines.steps.audit_findings import NO_FINDINGS, AuditFindings, find_mismatches
from warehouse.errors import StorageFailed, WarehouseError
from warehouse.lake.due_windows import read_states
from warehouse.lake.fold import FoldResult, fold_window, is_up_to_date
from warehouse.raw.log import RawLog, RawResponse
from warehouse.schema.tables import Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow

# So many windows failing with none succeeding is an outage: more requests would only make it worse.
_OUTAGE = 8


@dataclass(frozen=True, kw_only=True)
class WindowOutcome:
    """What became of one window: its fold, what was asked for it, and what went wrong, if anything.

    `again` marks one that was heard of before, or that only received rows of a neighbour's answer. `refused`
    says that the account may not have this dataset. `differences` is what an audit found.
    """

    window: StorageWindow
    fold: FoldResult | None = None
    answers: int = 0
    body_bytes: int = 0
    proven_in_halves: bool = False
    refused: bool = False
    again: bool = False
    differences: AuditFindings = NO_FINDINGS
    error: IPlumError | WarehouseError | None = None


@dataclass(frozen=True, kw_only=True)
class DatasetLoader:
    """Bring the windows of one dataset of one account from the API into the lake.

    `fetch` sends one request, `fetch_once` one without retries. `refusable` says that a 403 is a plan
    that lacks the dataset, not a wrong login. With the reason `audit`, what windows out of the `lookback` hold
    otherwise than the API is told. Memory holds the answers of `concurrency` requests and the fold of
    one window.
    """

    folder: DataFolder
    account: str
    table: Table
    fetch: FetchWindow
    fetch_once: FetchWindow
    concurrency: int
    verify: Literal["auto", "always", "off"]
    clock: Callable[[], datetime]
    refusable: bool = False
    reason: PullReason = "pull"
    lookback: timedelta = timedelta(0)

    def pull(self, windows: Sequence[StorageWindow]) -> Iterator[WindowOutcome]:
        """Go through the windows, oldest first, and give each one's outcome as it is finished.

        A window's error is in its outcome. Windows that are left out, because no further one can succeed, get
        no outcome. Windows found to hold an answer that was cut off, and those that got rows of a neighbour's
        answer after they were folded, come once more.
        """
        sizes = self._recall_sizes(windows)
        trusted: dict[StorageWindow, set[int]] = {}
        owed: set[StorageWindow] = set()
        for outcome in self._pull_side_by_side(sorted(windows), sizes, trusted):
            owed |= outcome.fold.other_windows if outcome.fold else set()
            yield outcome
        # That answers are cut off at a size shows at the second of that size; the first was believed.
        cut_off = sorted(window for window in trusted if trusted[window] & sizes.row_caps)
        for outcome in self._pull_side_by_side(cut_off, sizes, {}):
            yield replace(outcome, again=True)
        for window in sorted(owed):
            if not is_up_to_date(self.folder, self.table, self.account, window):
                yield self._fold(_Keeper(self._log, window), again=True)

    @property
    def _log(self) -> RawLog:
        return RawLog(self.folder, self.account, self.table.datasets[0])

    def _pull_side_by_side(
        self, windows: Sequence[StorageWindow], sizes: ResponseSizes, trusted: dict[StorageWindow, set[int]]
    ) -> Iterator[WindowOutcome]:
        """Pull in threads and fold here, in order: what an answer sends to the next window is there in time.

        The first window goes alone, so that a refusal costs one request. Then threads run ahead of the folding;
        what they bring waits on the disk, not in memory.
        """
        failed = succeeded = 0
        threads = ThreadPoolExecutor(self.concurrency, thread_name_prefix=f"pull-{self.table.name}")
        is_over = threading.Event()

        def pull(window: StorageWindow) -> _Keeper | None:
            return None if is_over.is_set() else self._pull_window(window, sizes, trusted)

        def pull_all() -> Iterator[_Keeper | None]:
            yield from map(pull, windows[:1])
            yield from threads.map(pull, windows[1:])

        try:
            for keeper in pull_all():
                if keeper is None:
                    continue
                outcome = self._fold(keeper)
                failed += outcome.error is not None
                succeeded += outcome.error is None
                if _is_final(outcome) or (failed >= _OUTAGE and not succeeded):
                    is_over.set()
                yield outcome
        finally:
            # Whoever is interrupted here does not wait for the requests under way.
            threads.shutdown(wait=False, cancel_futures=True)

    def _pull_window(
        self, window: StorageWindow, sizes: ResponseSizes, trusted: dict[StorageWindow, set[int]]
    ) -> _Keeper:
        keeper = _Keeper(self._log, window)
        asked = Window(window.start, window.end)
        try:
            for pulled in WindowPull(
                self.fetch,
                asked,
                sizes,
                verify=self.verify,
                now=self.clock,
                reason=self.reason,
                fetch_once=self.fetch_once,
            ):
                keeper.keep(pulled)
            trusted[window] = keeper.trusted
        except Forbidden as refusal:
            if self.refusable:
                keeper.keep_refusal(self.clock())
            else:
                keeper.error = refusal
        except (IPlumError, WarehouseError) as failure:
            keeper.error = failure
        return keeper

    def _fold(self, keeper: _Keeper, *, again: bool = False) -> WindowOutcome:
        fold: FoldResult | None = None
        error = keeper.error
        if keeper.answers or keeper.refused or again:
            try:
                fold = fold_window(self.folder, self.table, self.account, keeper.window)
            except WarehouseError as failure:
                error = error or failure
        return WindowOutcome(
            window=keeper.window,
            fold=fold,
            answers=keeper.answers,
            body_bytes=keeper.body_bytes,
            proven_in_halves=keeper.proven_in_halves,
            refused=keeper.refused,
            again=again,
            differences=self._compare(fold, keeper.window),
            error=error,
        )

    def _compare(self, fold: FoldResult | None, window: StorageWindow) -> AuditFindings:
        if fold is None or self.reason != "audit":
            return NO_FINDINGS
        return find_mismatches(fold, window, now=self.clock(), lookback=self.lookback)

    def _recall_sizes(self, windows: Sequence[StorageWindow]) -> ResponseSizes:
        """Begin with what earlier runs saw, so that a daily run of two windows knows the largest answers too."""
        seen = self.folder.with_cached_listings(self.account)
        known = seen.lake_windows(self.table.name, self.account)
        states = read_states(seen, self.table, self.account, [w for w in known if w not in windows])
        return ResponseSizes(
            {Window(window.start, window.end): state.largest_answer for window, state in states.items()}
        )


def _is_final(outcome: WindowOutcome) -> bool:
    return outcome.refused or isinstance(outcome.error, AccountError | StorageFailed)


class _Keeper:
    """Keeps the answers of one pull of one window in the raw log."""

    def __init__(self, log: RawLog, window: StorageWindow) -> None:
        self.window = window
        self.answers = 0
        self.body_bytes = 0
        self.proven_in_halves = False
        self.trusted: set[int] = set()
        self.refused = False
        self.error: IPlumError | WarehouseError | None = None
        self._log = log
        self._pull_id = uuid.uuid4().hex
        self._doubted: set[Window] = set()

    def keep(self, pulled: PulledResponse) -> None:
        response = pulled.response
        self._log.append(self.window, self._make_row(response, pulled.reason, complete=pulled.complete))
        if pulled.complete and response.window not in self._doubted:
            self.trusted.add(response.rows)
        if not pulled.complete:
            self._doubted.add(response.window)
        if not (pulled.complete and response.window in self._doubted):
            self.answers += 1
            self.body_bytes += len(response.body)
        self.proven_in_halves |= pulled.reason == "halves"

    def keep_refusal(self, refused_at: datetime) -> None:
        """Note in the ledger that the account may not have this window: no rows, no body, not pulled."""
        row = RawResponse(
            request_start=self.window.start,
            request_end=self.window.end,
            usage_types=None,
            reason="pull",
            pull_id=self._pull_id,
            complete=False,
            pulled_at=refused_at,
            rows=None,
            body=None,
        )
        self._log.append(self.window, row)
        self.refused = True

    def _make_row(self, response: WindowResponse, reason: PullReason, *, complete: bool) -> RawResponse:
        return RawResponse(
            request_start=response.window.start,
            request_end=response.window.end,
            usage_types=None if response.usage_types is None else ",".join(response.usage_types),
            reason=reason,
            pull_id=self._pull_id,
            complete=complete,
            pulled_at=response.received_at,
            rows=response.rows,
            body=response.body,
        )
