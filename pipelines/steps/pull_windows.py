"""Pulling windows concurrently: each response is stored when it arrives, each finished window is folded."""

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

from iplum_resource.errors import AccountError, Forbidden, IPlumError
from iplum_resource.http.responses import WindowResponse
from iplum_resource.window import Window
from iplum_resource.window_pull import FetchWindow, PulledResponse, PullReason, ResponseSizes, WindowPull
from pipelines.steps.audit_windows import NO_FINDINGS, AuditFindings, find_audit_findings
from pipelines.steps.concurrency import map_concurrently
from warehouse.errors import StorageFailed, WarehouseError
from warehouse.lake.due_windows import read_states
from warehouse.lake.fold import FoldResult, fold_window, is_up_to_date
from warehouse.raw.log import RawLog, RawResponse
from warehouse.schema.tables import Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow

# This many failed windows without a success are an outage: the run stops.
_OUTAGE_FAILURES = 8


@dataclass(frozen=True, kw_only=True)
class WindowOutcome:
    """The result of one window.

    `again` marks a window that was reported before, or that only received out-of-window records. `refused` is
    whether the account may not request this dataset (HTTP 403). `findings` are those of an audit.
    """

    window: StorageWindow
    fold: FoldResult | None = None
    responses: int = 0
    body_bytes: int = 0
    split_checked: bool = False
    refused: bool = False
    again: bool = False
    findings: AuditFindings = NO_FINDINGS
    error: IPlumError | WarehouseError | None = None


@dataclass(frozen=True, kw_only=True)
class DatasetLoader:
    """Pulls the windows of one dataset of one account, stores their responses and folds them.

    Args:
        fetch: Sends one request with retries.
        fetch_once: Sends one request without retries.
        refusable: Whether a 403 means that the plan lacks the dataset, and not a wrong login.
        reason: `pull` or `audit`; an audit reports findings in windows outside the `lookback`.
    Memory holds the responses of `concurrency` requests and the fold of one window.

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

    def load(self, windows: Sequence[StorageWindow]) -> Iterator[WindowOutcome]:
        """Pull the windows, oldest first, and yield each outcome when its window is finished.

        A window's error is in its outcome. Windows skipped because no further one can succeed have no outcome.
        Windows found to be truncated, and those that received out-of-window records after they were folded, are
        yielded again.
        """
        sizes = self._load_sizes(windows)
        unchecked_sizes: dict[StorageWindow, set[int]] = {}
        to_fold: set[StorageWindow] = set()
        for outcome in self._pull_concurrently(sorted(windows), sizes, unchecked_sizes):
            to_fold |= outcome.fold.other_windows if outcome.fold else set()
            yield outcome
        # A row cap shows at the second response of that size; windows with the first one are pulled again.
        truncated = sorted(window for window in unchecked_sizes if unchecked_sizes[window] & sizes.row_caps)
        for outcome in self._pull_concurrently(truncated, sizes, {}):
            yield replace(outcome, again=True)
        for window in sorted(to_fold):
            if not is_up_to_date(self.folder, self.table, self.account, window):
                yield self._fold(_ResponseRecorder(self._log, window), again=True)

    @property
    def _log(self) -> RawLog:
        return RawLog(self.folder, self.account, self.table.datasets[0])

    def _pull_concurrently(
        self, windows: Sequence[StorageWindow], sizes: ResponseSizes, unchecked_sizes: dict[StorageWindow, set[int]]
    ) -> Iterator[WindowOutcome]:
        """Pull in threads and fold in this one, in order, so that out-of-window records are there in time.

        The threads run ahead of the folds; their responses wait on disk, not in memory.
        """
        is_over = threading.Event()
        failed = succeeded = 0
        pull = partial(self._pull_window, sizes=sizes, unchecked_sizes=unchecked_sizes)
        for recorder in map_concurrently(
            pull, windows, is_over=is_over, concurrency=self.concurrency, name=f"pull-{self.table.name}"
        ):
            outcome = self._fold(recorder)
            failed += outcome.error is not None
            succeeded += outcome.error is None
            if _is_final(outcome) or (failed >= _OUTAGE_FAILURES and not succeeded):
                is_over.set()
            yield outcome

    def _pull_window(
        self, window: StorageWindow, sizes: ResponseSizes, unchecked_sizes: dict[StorageWindow, set[int]]
    ) -> "_ResponseRecorder":
        recorder = _ResponseRecorder(self._log, window)
        request_window = Window(window.start, window.end)
        try:
            for pulled in WindowPull(
                self.fetch,
                request_window,
                sizes,
                verify=self.verify,
                now=self.clock,
                reason=self.reason,
                fetch_once=self.fetch_once,
            ):
                recorder.record(pulled)
            unchecked_sizes[window] = recorder.unchecked_sizes
        except Forbidden as error:
            if self.refusable:
                recorder.record_refusal(self.clock())
            else:
                recorder.error = error
        except (IPlumError, WarehouseError) as failure:
            recorder.error = failure
        return recorder

    def _fold(self, recorder: "_ResponseRecorder", *, again: bool = False) -> WindowOutcome:
        fold: FoldResult | None = None
        error = recorder.error
        if recorder.responses or recorder.refused or again:
            try:
                fold = fold_window(self.folder, self.table, self.account, recorder.window)
            except WarehouseError as failure:
                error = error or failure
        return WindowOutcome(
            window=recorder.window,
            fold=fold,
            responses=recorder.responses,
            body_bytes=recorder.body_bytes,
            split_checked=recorder.split_checked,
            refused=recorder.refused,
            again=again,
            findings=self._find_findings(fold, recorder.window),
            error=error,
        )

    def _find_findings(self, fold: FoldResult | None, window: StorageWindow) -> AuditFindings:
        if fold is None or self.reason != "audit":
            return NO_FINDINGS
        return find_audit_findings(fold, window, now=self.clock(), lookback=self.lookback)

    def _load_sizes(self, windows: Sequence[StorageWindow]) -> ResponseSizes:
        """Start with the row counts of earlier runs, so that a daily run of two windows knows the largest ones."""
        listed = self.folder.with_cached_listings(self.account)
        known = listed.lake_windows(self.table.name, self.account)
        states = read_states(listed, self.table, self.account, [w for w in known if w not in windows])
        return ResponseSizes(
            {Window(window.start, window.end): state.largest_answer for window, state in states.items()}
        )


def _is_final(outcome: WindowOutcome) -> bool:
    return outcome.refused or isinstance(outcome.error, AccountError | StorageFailed)


class _ResponseRecorder:
    """Stores the responses of one pull of one window in the raw log."""

    def __init__(self, log: RawLog, window: StorageWindow) -> None:
        self.window = window
        self.responses = 0
        self.body_bytes = 0
        self.split_checked = False
        self.unchecked_sizes: set[int] = set()
        self.refused = False
        self.error: IPlumError | WarehouseError | None = None
        self._log = log
        self._pull_id = uuid.uuid4().hex
        self._unconfirmed: set[Window] = set()

    def record(self, pulled: PulledResponse) -> None:
        response = pulled.response
        self._log.append(self.window, self._build_row(response, pulled.reason, complete=pulled.complete))
        if pulled.complete and response.window not in self._unconfirmed:
            self.unchecked_sizes.add(response.rows)
        if not pulled.complete:
            self._unconfirmed.add(response.window)
        if not (pulled.complete and response.window in self._unconfirmed):
            self.responses += 1
            self.body_bytes += len(response.body)
        self.split_checked |= pulled.reason == "halves"

    def record_refusal(self, refused_at: datetime) -> None:
        """Store that the account may not request this window: no rows, no body, not pulled."""
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

    def _build_row(self, response: WindowResponse, reason: PullReason, *, complete: bool) -> RawResponse:
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
