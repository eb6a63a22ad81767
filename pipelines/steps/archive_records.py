"""Archiving of records: message bodies, attachments, faxes and recording files of a window."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from itertools import groupby, islice
from typing import Literal, Protocol

from iplum_resource.errors import (
    AccountError,
    Forbidden,
    InvalidRequest,
    IPlumError,
    MediaExpired,
    MediaRefused,
    WindowError,
)
from pipelines.steps.fetch_content import Fetched
from warehouse.archive.backlog import find_backlog, find_lost_files
from warehouse.archive.download_log import DownloadAttempt, DownloadLog, fold_download_log
from warehouse.archive.media_store import MediaStore, StoredFile
from warehouse.errors import StorageFailed, WarehouseError
from warehouse.lake.fold import FoldResult
from warehouse.schema.tables import Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow

#: What a try can end in.
STATUSES = ("verified", "pending", "failed")
# A killed run fetches at most so many records of a window once more.
_BATCH = 100
# So many records failing with none succeeding is an outage: more requests would only make it worse.
_OUTAGE = 20


class Fetch(Protocol):
    """Fetch what one record holds; raises `IPlumError` or `WarehouseError`."""

    def __call__(self, record_id: str, sha256: str | None = None) -> Fetched:
        """Return it, a file being verified and in place; with `sha256`, that file and no other."""


@dataclass(frozen=True, kw_only=True)
class ArchiveOutcome:
    """What became of one window: the tries of this run by status, the bytes that came, and what ended it."""

    window: StorageWindow
    statuses: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    fold: FoldResult | None = None
    refused: bool = False
    error: IPlumError | WarehouseError | None = None


@dataclass(frozen=True)
class _Task:
    window: StorageWindow
    record_id: str = field(repr=False)
    lost: StoredFile | None = None


@dataclass(frozen=True)
class _Tried:
    """A try at one record: what became of it, or the error for which no other record can be had either."""

    task: _Task
    attempt: DownloadAttempt | None = None
    error: IPlumError | WarehouseError | None = None
    is_unanswered: bool = False


@dataclass(frozen=True, kw_only=True)
class RecordArchiver:
    """Bring what the records of some windows hold into the archive; only what isn't verified is asked for.

    `on_try` hears of each record that was tried, with the bytes it brought. Memory holds the answers of
    `concurrency` requests; files go to the disk as they come.
    """

    folder: DataFolder
    account: str
    table: Table
    fetch: Fetch
    concurrency: int
    clock: Callable[[], datetime]
    on_try: Callable[[int], None]

    def list_backlog(self, windows: Sequence[StorageWindow]) -> dict[StorageWindow, list[str]]:
        """List what is to be tried now, by window, newest first."""
        now = self.clock()
        return {
            window: find_backlog(self.folder, self.table, self.account, window, now=now)
            for window in sorted(windows, reverse=True)
        }

    def pull(self, wanted: dict[StorageWindow, list[str]]) -> Iterator[ArchiveOutcome]:
        """Try each record, and give each window's outcome as it is finished.

        A record that can't be had does not fail its window: its row says why. Windows that are left out, because
        no further record can be had, get no outcome.
        """
        tasks = [task for window, ids in wanted.items() for task in self._make_tasks(window, ids)]
        for window in [window for window, ids in wanted.items() if not ids]:
            yield ArchiveOutcome(window=window)
        for window, tried in groupby(self._try_side_by_side(tasks), key=lambda one: one.task.window):
            outcome = self._finish(window, tried)
            yield outcome
            if isinstance(outcome.error, StorageFailed):
                return

    def _make_tasks(self, window: StorageWindow, ids: Sequence[str]) -> list[_Task]:
        lost = find_lost_files(self.folder, self.table, self.account, window) if ids else {}
        return [_Task(window, record_id, lost.get(record_id)) for record_id in ids]

    def _try_side_by_side(self, tasks: Sequence[_Task]) -> Iterator[_Tried]:
        """Try the first record alone, so that a refusal costs one request, then the others in threads."""
        threads = ThreadPoolExecutor(self.concurrency, thread_name_prefix=f"archive-{self.table.name}")
        is_over = threading.Event()
        failed = succeeded = 0

        def attempt(task: _Task) -> _Tried | None:
            return None if is_over.is_set() else self._try(task)

        def attempt_all() -> Iterator[_Tried | None]:
            yield from map(attempt, tasks[:1])
            yield from threads.map(attempt, tasks[1:])

        try:
            for tried in attempt_all():
                if tried is None:
                    continue
                failed += tried.is_unanswered
                succeeded += not tried.is_unanswered
                if tried.error is not None or (failed >= _OUTAGE and not succeeded):
                    is_over.set()
                yield tried
        finally:
            # Whoever is interrupted here does not wait for the requests under way.
            threads.shutdown(wait=False, cancel_futures=True)

    def _try(self, task: _Task) -> _Tried:
        try:
            fetched = self._fetch(task)
        except (AccountError, StorageFailed) as error:
            return _Tried(task, error=error)
        except (MediaExpired, InvalidRequest) as error:
            # A 404 of the API may also mean a wrong address, for which nothing is ever given up.
            is_absent = isinstance(error, MediaExpired) or error.status == HTTPStatus.BAD_REQUEST
            return _Tried(task, self._note(task, "pending" if is_absent else "failed", error))
        except (WindowError, WarehouseError) as error:
            is_unanswered = isinstance(error, WindowError) and not isinstance(error, MediaRefused)
            return _Tried(task, self._note(task, "failed", error), is_unanswered=is_unanswered)
        attempt = _describe(fetched, task.record_id, self.clock())
        self.on_try(attempt.bytes or 0)
        return _Tried(task, attempt)

    def _fetch(self, task: _Task) -> Fetched:
        if task.lost is None:
            return self.fetch(task.record_id)
        # It may have been restored from a backup, or have come with another record that has the same file.
        if MediaStore(self.folder).check(task.lost.path, task.lost.sha256):
            return Fetched(file=task.lost)
        return self.fetch(task.record_id, task.lost.sha256)

    def _note(self, task: _Task, status: Literal["pending", "failed"], error: Exception) -> DownloadAttempt:
        self.on_try(0)
        return DownloadAttempt(
            record_id=task.record_id, attempted_at=self.clock(), status=status, error=str(error)
        )

    def _finish(self, window: StorageWindow, all_tried: Iterator[_Tried]) -> ArchiveOutcome:
        log = DownloadLog(self.folder, self.account, self.table.datasets[0])
        statuses: dict[str, int] = {}
        brought = 0
        error: IPlumError | WarehouseError | None = None
        fold: FoldResult | None = None
        try:
            for attempts in _cut_into_batches(all_tried):
                error = error or next((tried.error for tried in attempts if tried.error), None)
                made = [tried.attempt for tried in attempts if tried.attempt is not None]
                if made:
                    log.append(window, made)
                for attempt in made:
                    statuses[attempt.status] = statuses.get(attempt.status, 0) + 1
                    brought += attempt.bytes or 0
            if statuses:
                fold = fold_download_log(self.folder, self.table, self.account, window)
        except WarehouseError as failure:
            error = error or failure
        refused = isinstance(error, Forbidden)
        return ArchiveOutcome(
            window=window,
            statuses=statuses,
            bytes=brought,
            fold=fold,
            refused=refused,
            error=None if refused else error,
        )


def _cut_into_batches(tried: Iterator[_Tried]) -> Iterator[list[_Tried]]:
    while batch := list(islice(tried, _BATCH)):
        yield batch


def _describe(fetched: Fetched, record_id: str, now: datetime) -> DownloadAttempt:
    if fetched.file is not None:
        return DownloadAttempt(
            record_id=record_id,
            attempted_at=now,
            status="verified",
            kind="media",
            sha256=fetched.file.sha256,
            bytes=fetched.file.bytes,
            media_type=fetched.file.media_type,
            path=fetched.file.path,
        )
    return DownloadAttempt.of_body(record_id, fetched.body or "", now)
