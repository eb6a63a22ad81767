"""Pulling windows concurrently: each response is stored when it arrives, each finished window is folded."""

import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

from iplum_resource.errors import AccountError, Forbidden, IPlumError
from iplum_resource.window import Window
from iplum_resource.window_pull import FetchWindow, PulledResponse, PullReason, ResponseSizes, WindowPull
from pipelines.clock import Clock
from pipelines.steps.audit_windows import NO_FINDINGS, AuditFindings, find_audit_findings
from pipelines.steps.concurrency import map_concurrently
from warehouse.errors import StorageFailed, WarehouseError, WindowDeleted
from warehouse.lake.due_windows import read_states
from warehouse.lake.fold import FoldResult, fold_window, is_up_to_date
from warehouse.raw.deletion_log import is_deleted
from warehouse.raw.log import RawLog, RawResponse
from warehouse.schema.tables import Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow

# This many failed windows without a success are an outage: the run stops.
_OUTAGE_FAILURES = 8


@dataclass(kw_only=True)
class WindowOutcome:
    """The result of one window, built while it is pulled and folded.

    `again` marks a window that was reported before, or that only received out-of-window records. `refused` is
    whether the account may not request this dataset (HTTP 403); `refused_types` are the usage types that iPlum
    rejects, with the time of the response. `findings` are those of an audit.
    """

    window: StorageWindow
    fold: FoldResult | None = None
    responses: int = 0
    body_bytes: int = 0
    split_checked: bool = False
    refused: bool = False
    refused_types: dict[str, datetime] = field(default_factory=dict)
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
    clock: Clock
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
        stored_types: set[str] = set()
        for outcome in self._pull_concurrently(sorted(windows), sizes, unchecked_sizes, stored_types):
            to_fold |= outcome.fold.other_windows if outcome.fold else set()
            yield outcome
        # A row cap shows at the second response of that size; windows with the first one are pulled again.
        truncated = sorted(window for window in unchecked_sizes if unchecked_sizes[window] & sizes.row_caps)
        for outcome in self._pull_concurrently(truncated, sizes, {}, stored_types):
            yield replace(outcome, again=True)
        for window in sorted(to_fold):
            if not is_up_to_date(self.folder, self.table, self.account, window):
                yield self._fold(WindowOutcome(window=window), again=True)

    @property
    def _log(self) -> RawLog:
        return RawLog(self.folder, self.account, self.table.datasets[0])

    def _pull_concurrently(
        self,
        windows: Sequence[StorageWindow],
        sizes: ResponseSizes,
        unchecked_sizes: dict[StorageWindow, set[int]],
        stored_types: set[str],
    ) -> Iterator[WindowOutcome]:
        """Pull in threads and fold in this one, in order, so that out-of-window records are there in time.

        The threads run ahead of the folds; their responses wait on disk, not in memory.
        """
        is_over = threading.Event()
        failed = succeeded = 0
        pull = partial(self._pull_window, sizes=sizes, unchecked_sizes=unchecked_sizes)
        for pulled in map_concurrently(
            pull, windows, is_over=is_over, concurrency=self.concurrency, name=f"pull-{self.table.name}"
        ):
            self._store_refused_types(pulled, stored_types)
            outcome = self._fold(pulled)
            failed += outcome.error is not None
            succeeded += outcome.error is None
            is_final = outcome.refused or isinstance(outcome.error, AccountError | StorageFailed)
            if is_final or (failed >= _OUTAGE_FAILURES and not succeeded):
                is_over.set()
            yield outcome

    def _pull_window(
        self, window: StorageWindow, sizes: ResponseSizes, unchecked_sizes: dict[StorageWindow, set[int]]
    ) -> WindowOutcome:
        recorder = _ResponseRecorder(self._log, window)
        outcome = recorder.outcome
        try:
            for pulled in WindowPull(
                self.fetch,
                Window(window.start, window.end),
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
                outcome.error = error
        except (IPlumError, WarehouseError) as failure:
            outcome.error = failure
        return outcome

    def _store_refused_types(self, outcome: WindowOutcome, stored_types: set[str]) -> None:
        """Store each refused usage type once per run, with the first window that shows it."""
        new = outcome.refused_types.keys() - stored_types
        if outcome.error is None and new:
            try:
                for usage_type in sorted(new):
                    refused_at = outcome.refused_types[usage_type]
                    _append_refusal(self._log, outcome.window, uuid.uuid4().hex, refused_at, usage_type)
                stored_types |= new
            except WarehouseError as failure:
                outcome.error = failure

    def _fold(self, outcome: WindowOutcome, *, again: bool = False) -> WindowOutcome:
        outcome.again = again
        if (outcome.responses or outcome.refused or again) and not isinstance(outcome.error, WindowDeleted):
            try:
                outcome.fold = fold_window(self.folder, self.table, self.account, outcome.window)
            except WarehouseError as failure:
                outcome.error = outcome.error or failure
        if outcome.fold is not None and self.reason == "audit":
            outcome.findings = find_audit_findings(
                outcome.fold, outcome.window, now=self.clock(), lookback=self.lookback
            )
        return outcome

    def _load_sizes(self, windows: Sequence[StorageWindow]) -> ResponseSizes:
        """Start with the row counts of earlier runs, so that a daily run of two windows knows the largest ones."""
        listed = self.folder.with_cached_listings(self.account)
        known = listed.lake_windows(self.table.name, self.account)
        states = read_states(listed, self.table, self.account, [w for w in known if w not in windows])
        return ResponseSizes(
            {Window(window.start, window.end): state.largest_answer for window, state in states.items()}
        )


class _ResponseRecorder:
    """Stores the responses of one pull of one window in the raw log."""

    def __init__(self, log: RawLog, window: StorageWindow) -> None:
        self.outcome = WindowOutcome(window=window)
        self.unchecked_sizes: set[int] = set()
        self._log = log
        self._pull_id = uuid.uuid4().hex
        self._unconfirmed: set[Window] = set()

    def record(self, pulled: PulledResponse) -> None:
        """Store a response; raises `WindowDeleted` if retention has deleted the window since the run began."""
        response = pulled.response
        if is_deleted(self._log.folder, self._log.account, self.outcome.window):
            raise WindowDeleted(self.outcome.window)
        row = RawResponse(
            request_start=response.window.start,
            request_end=response.window.end,
            usage_types=None if response.usage_types is None else ",".join(response.usage_types),
            reason=pulled.reason,
            pull_id=self._pull_id,
            complete=pulled.complete,
            pulled_at=response.received_at,
            rows=response.rows,
            body=response.body,
        )
        self._log.append(self.outcome.window, row)
        if pulled.complete and response.window not in self._unconfirmed:
            self.unchecked_sizes.add(response.rows)
        if not pulled.complete:
            self._unconfirmed.add(response.window)
        if not (pulled.complete and response.window in self._unconfirmed):
            self.outcome.responses += 1
            self.outcome.body_bytes += len(response.body)
        self.outcome.split_checked |= pulled.reason == "halves"
        self.outcome.refused_types |= dict.fromkeys(response.refused_types, response.received_at)

    def record_refusal(self, refused_at: datetime) -> None:
        """Store that the account may not request this window."""
        _append_refusal(self._log, self.outcome.window, self._pull_id, refused_at)
        self.outcome.refused = True


def _append_refusal(
    log: RawLog, window: StorageWindow, pull_id: str, refused_at: datetime, usage_type: str | None = None
) -> None:
    """Store that iPlum refuses a dataset, or one usage type: no rows, no body, not complete."""
    row = RawResponse(
        request_start=window.start,
        request_end=window.end,
        usage_types=usage_type,
        reason="pull",
        pull_id=pull_id,
        complete=False,
        pulled_at=refused_at,
        rows=None,
        body=None,
    )
    log.append(window, row)
