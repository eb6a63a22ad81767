"""The drain: from the inbox to the raw log, then a fold of the windows that were touched."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from warehouse.archive.download_log import DownloadAttempt, DownloadLog, fold_download_log
from warehouse.lake.fold import fold_window
from warehouse.lake.normalize import normalize_response
from warehouse.raw.deletion_log import is_deleted
from warehouse.raw.inbox import Event, Inbox
from warehouse.raw.json_records import load_records
from warehouse.raw.log import RawLog, RawResponse, format_file_time
from warehouse.retention.legal_holds import Hold, read_holds
from warehouse.schema.tables import CONTENTS, RECORDINGS, USAGE, Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of

#: So long a drained event can still be looked at.
KEPT_FOR = timedelta(days=30)
_BATCH = 5_000
#: The table of each dataset that is pushed.
TABLES = {"usage_callbacks": USAGE, "recording_callbacks": RECORDINGS}

Filed = Sequence[tuple[Event, str]]  # with its record's id


@dataclass
class DrainOutcome:
    """What a drain moved: events, the bodies among them, and per table the windows that were folded for it.

    `dropped` counts the events about records of windows that were deleted, which are not moved.
    """

    events: int = 0
    bodies: int = 0
    touched: dict[str, set[StorageWindow]] = field(default_factory=dict)
    removed: int = 0
    dropped: int = 0


@dataclass(frozen=True, kw_only=True)
class Drain:
    """Move an account's pushed events to where pulled answers are, batch by batch.

    Killed at any moment and run again, or run beside another, it files each event once: a batch's events never
    change, and its files are named after it. What was filed but not folded is folded by the next publishing.
    Memory holds one batch of events, then the fold of one window.
    """

    folder: DataFolder
    account: str
    inbox: Inbox
    clock: Callable[[], datetime]

    def run(self) -> DrainOutcome:
        """Drain what is there; raises `InboxFailed`, `StorageFailed` and `RawDamaged`."""
        outcome = DrainOutcome()
        for batch in self._batches():
            self._move(batch, outcome)
            self.inbox.finish(batch, self.clock())
        for name, windows in outcome.touched.items():
            for window in sorted(windows):
                self._fold(name, window)
        outcome.removed = self.inbox.remove_drained(self.clock() - KEPT_FOR)
        return outcome

    def _batches(self) -> Iterator[str]:
        yield from self.inbox.list_claimed()
        while (batch := self.inbox.claim(_BATCH)) is not None:
            yield batch

    def _move(self, batch: str, outcome: DrainOutcome) -> None:
        events = self.inbox.read(batch)
        holds = read_holds(self.folder, self.account)
        for dataset, table in TABLES.items():
            pushed = [event for event in events if event.dataset == dataset]
            for window, came in file_events(pushed, table).items():
                filed = came
                if is_deleted(self.folder, self.account, window):
                    filed = [(event, record_id) for event, record_id in came if _is_held(event, holds)]
                    outcome.dropped += len(came) - len(filed)
                if not filed:
                    continue
                name = _name_file(batch, dataset, window, filed)
                rows = [_make_answer(event, batch) for event, _ in filed]
                RawLog(self.folder, self.account, dataset).append_callbacks_once(window, rows, name)
                outcome.touched.setdefault(table.name, set()).add(window)
                self._keep_bodies(window, filed, name, outcome)
        outcome.events += len(events)

    def _keep_bodies(self, window: StorageWindow, filed: Filed, name: str, outcome: DrainOutcome) -> None:
        bodies = [
            DownloadAttempt.of_body(record_id, event.content, event.received_at)
            for event, record_id in filed
            if event.content is not None
        ]
        if bodies:
            DownloadLog(self.folder, self.account, CONTENTS.name).append_once(window, bodies, name)
            outcome.touched.setdefault(CONTENTS.name, set()).add(window)
            outcome.bodies += len(bodies)

    def _fold(self, table_name: str, window: StorageWindow) -> None:
        if table_name == CONTENTS.name:
            fold_download_log(self.folder, CONTENTS, self.account, window)
            return
        (table,) = (table for table in TABLES.values() if table.name == table_name)
        fold_window(self.folder, table, self.account, window)


def file_events(events: Sequence[Event], table: Table) -> Mapping[StorageWindow, Filed]:
    """Sort events into the windows of their records' starts; without one that reads, of the time they came."""
    filed: dict[StorageWindow, list[tuple[Event, str]]] = {}
    if not events:
        return filed
    normalized = normalize_response(b"[" + b",".join(event.body for event in events) + b"]", table)
    starts = dict(zip(normalized.places, normalized.rows[table.started].to_pylist(), strict=True))
    ids = dict(zip(normalized.places, normalized.rows["record_id"].to_pylist(), strict=True))
    for position, event in enumerate(events):
        window = window_of(starts.get(position) or event.received_at)
        filed.setdefault(window, []).append((event, str(ids.get(position, ""))))
    return filed


def _is_held(event: Event, holds: Sequence[Hold]) -> bool:
    return any(
        isinstance(record, dict) and hold.holds(record) for record in load_records(event.body) for hold in holds
    )


def _name_file(batch: str, dataset: str, window: StorageWindow, filed: Filed) -> str:
    digest = hashlib.sha256(f"{batch}/{dataset}/{window.key}".encode()).hexdigest()[:16]
    return f"{format_file_time(max(event.received_at for event, _ in filed))}-{digest}"


def _make_answer(event: Event, batch: str) -> RawResponse:
    """Write an event as the raw log has answers: it asked for nothing, so its request is the moment it came."""
    return RawResponse(
        request_start=event.received_at,
        request_end=event.received_at,
        usage_types=None,
        reason="callback",
        pull_id=batch,
        complete=False,
        pulled_at=event.received_at,
        rows=1,
        body=event.body,
    )
