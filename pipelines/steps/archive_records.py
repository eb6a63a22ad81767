"""Archiving: downloads of message texts, attachments, faxes and recordings, window by window."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import groupby, islice
from typing import Literal, Protocol

from iplum_resource import errors
from iplum_resource.errors import IPlumError
from pipelines.clock import Clock
from pipelines.steps.concurrency import map_concurrently
from pipelines.steps.fetch_content import Fetched
from warehouse.archive.backlog import find_backlog, find_faxes, find_lost_files
from warehouse.archive.download_log import DownloadAttempt, DownloadLog, fold_download_log
from warehouse.archive.media_store import MediaStore, StoredFile
from warehouse.errors import StorageFailed, WarehouseError
from warehouse.lake.files import read_rows
from warehouse.lake.fold import FoldResult
from warehouse.raw.deletion_log import is_deleted
from warehouse.schema.tables import TABLES, Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow

#: Statuses of an attempt.
STATUSES = ("verified", "pending", "failed")
# A killed run downloads at most this many records of a window again.
_BATCH = 100
# This many failed records without a success are an outage: the run stops.
_OUTAGE_FAILURES = 20


class Fetch(Protocol):
    """Downloads the content of one record, with files verified and stored."""

    def __call__(self, record_id: str, sha256: str | None = None, *, is_file: bool = False) -> Fetched:
        """Return the content; with a SHA-256 hash, only that file; with `is_file`, never a text.

        Raises `IPlumError` and `WarehouseError`.
        """


_OF_ONE_FILE = (errors.MediaError, errors.MediaRefused)


@dataclass(frozen=True, kw_only=True)
class ArchiveOutcome:
    """The result of one window: attempts by status, downloaded bytes, and the error that ended it."""

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
    is_file: bool = False


@dataclass(frozen=True)
class _Result:
    """The result of one record: its attempt, or an error for which no other record can succeed either."""

    task: _Task
    attempt: DownloadAttempt | None = None
    error: IPlumError | WarehouseError | None = None
    is_outage: bool = False

    @property
    def is_forbidden(self) -> bool:
        """Whether iPlum refused this record (HTTP 403)."""
        return isinstance(self.error, errors.Forbidden)


@dataclass(frozen=True, kw_only=True)
class RecordArchiver:
    """Downloads the contents of records that are not verified yet.

    `on_attempt` receives the bytes of each attempted record. Memory holds the responses of `concurrency` requests;
    files are streamed to disk.
    """

    folder: DataFolder
    account: str
    table: Table
    fetch: Fetch
    concurrency: int
    clock: Clock
    on_attempt: Callable[[int], None]

    def list_backlog(self, windows: Sequence[StorageWindow]) -> dict[StorageWindow, list[str]]:
        """List the records to attempt now, by window, newest first."""
        now = self.clock()
        return {
            window: find_backlog(self.folder, self.table, self.account, window, now=now)
            for window in sorted(windows, reverse=True)
        }

    def archive(self, backlog: dict[StorageWindow, list[str]]) -> Iterator[ArchiveOutcome]:
        """Attempt each record, and yield each outcome when its window is finished.

        A failing record does not fail its window: its row says why. Windows skipped because no further record can
        succeed have no outcome.
        """
        tasks: list[_Task] = []
        for window, ids in backlog.items():
            lost = find_lost_files(self.folder, self.table, self.account, window) if ids else {}
            faxes = find_faxes(self.folder, self.table, self.account, window) if ids else set()
            tasks += [_Task(window, record_id, lost.get(record_id), record_id in faxes) for record_id in ids]
        for window in [window for window, ids in backlog.items() if not ids]:
            yield ArchiveOutcome(window=window)
        for window, results in groupby(self._archive_concurrently(tasks), key=lambda result: result.task.window):
            outcome = self._finish(window, results)
            yield outcome
            if isinstance(outcome.error, StorageFailed):
                return

    def _archive_concurrently(self, tasks: Sequence[_Task]) -> Iterator[_Result]:
        """Yield the results in order, until no further record can succeed.

        A record with a 403 fails alone if iPlum sends another one; if the first records all have a 403, the account
        lacks the right.
        """
        is_over = threading.Event()
        failed = refused = succeeded = 0
        undecided: list[_Result] = []
        for result in map_concurrently(
            self._archive, tasks, is_over=is_over, concurrency=self.concurrency, name=f"archive-{self.table.name}"
        ):
            failed += result.is_outage
            refused += result.is_forbidden
            succeeded += result.error is None and not result.is_outage
            is_outage = not succeeded and max(failed, refused) >= _OUTAGE_FAILURES
            if is_outage or (result.error is not None and not result.is_forbidden):
                is_over.set()
            undecided.append(result)
            if succeeded:
                yield from map(self._fail_alone, undecided)
                undecided.clear()
        yield from undecided

    def _fail_alone(self, result: _Result) -> _Result:
        """Return the result, with a failed attempt in place of a 403."""
        if result.error is None or not result.is_forbidden:
            return result
        return _Result(result.task, self._build_attempt(result.task, "failed", result.error))

    def _archive(self, task: _Task) -> _Result:
        try:
            fetched = self._fetch(task)
        except (errors.AccountError, StorageFailed) as error:
            return _Result(task, error=error)
        except (errors.MediaExpired, errors.MediaNotReady, errors.InvalidRequest) as error:
            # A 404 of the API may also mean a wrong base URL, so the record is not given up.
            is_absent = isinstance(error, errors.MediaError) or error.status == HTTPStatus.BAD_REQUEST
            return _Result(task, self._build_attempt(task, "pending" if is_absent else "failed", error))
        except (errors.WindowError, WarehouseError) as error:
            # An unexpected status or a forbidden host says nothing about other files.
            is_outage = isinstance(error, errors.WindowError) and type(error) not in _OF_ONE_FILE
            return _Result(task, self._build_attempt(task, "failed", error), is_outage=is_outage)
        attempt = DownloadAttempt.of_content(task.record_id, fetched, self.clock())
        self.on_attempt(attempt.bytes or 0)
        return _Result(task, attempt)

    def _fetch(self, task: _Task) -> Fetched:
        if task.lost is None:
            return self.fetch(task.record_id, is_file=task.is_file)
        # The file may have been restored from a backup, or stored again for another record with the same content.
        if MediaStore(self.folder).check(task.lost.path, task.lost.sha256):
            return task.lost
        return self.fetch(task.record_id, task.lost.sha256, is_file=True)

    def _build_attempt(self, task: _Task, status: Literal["pending", "failed"], error: Exception) -> DownloadAttempt:
        self.on_attempt(0)
        return DownloadAttempt(record_id=task.record_id, attempted_at=self.clock(), status=status, error=str(error))

    def _without_deleted(self, window: StorageWindow, attempts: list[DownloadAttempt]) -> list[DownloadAttempt]:
        """Leave out attempts on records that retention has deleted since the run began."""
        if not is_deleted(self.folder, self.account, window):
            return attempts
        rows = read_rows(self.folder, TABLES[self.table.source], self.account, window)
        kept = set(rows["record_id"] if rows is not None else ())
        return [attempt for attempt in attempts if attempt.record_id in kept]

    def _finish(self, window: StorageWindow, results: Iterator[_Result]) -> ArchiveOutcome:
        log = DownloadLog(self.folder, self.account, self.table.datasets[0])
        statuses: Counter[str] = Counter()
        downloaded = 0
        error: IPlumError | WarehouseError | None = None
        fold: FoldResult | None = None
        try:
            while batch := list(islice(results, _BATCH)):
                error = error or next((result.error for result in batch if result.error), None)
                attempts = self._without_deleted(
                    window, [result.attempt for result in batch if result.attempt is not None]
                )
                if attempts:
                    log.append(window, attempts)
                statuses.update(attempt.status for attempt in attempts)
                downloaded += sum(attempt.bytes or 0 for attempt in attempts)
            if statuses:
                fold = fold_download_log(self.folder, self.table, self.account, window)
        except WarehouseError as failure:
            error = error or failure
        refused = isinstance(error, errors.Forbidden)
        return ArchiveOutcome(
            window=window,
            statuses=statuses,
            bytes=downloaded,
            fold=fold,
            refused=refused,
            error=None if refused else error,
        )
