"""Draining the inbox: events are moved to the raw log, and their windows folded."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from pipelines.clock import Clock
from warehouse.archive.download_log import DownloadAttempt, DownloadLog, fold_lake_file
from warehouse.lake.normalize import normalize_records
from warehouse.raw.deletion_log import is_deleted
from warehouse.raw.inbox import Event, Inbox
from warehouse.raw.json_records import load_records
from warehouse.raw.log import RawLog, RawResponse, format_file_time
from warehouse.retention.legal_holds import Hold, read_holds
from warehouse.schema.tables import CONTENTS, FOLDED_TABLES, TABLES, table_of_dataset
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of

#: How long drained events stay in the inbox.
DRAINED_EVENTS_KEPT_FOR = timedelta(days=30)
_BATCH = 5_000
#: Events with the IDs of their records.
EventsWithIds = Sequence[tuple[Event, str]]


@dataclass
class DrainOutcome:
    """The result of a drain: events, message texts among them, and the folded windows per table.

    `dropped` counts events of deleted windows, which are not moved.
    """

    events: int = 0
    bodies: int = 0
    touched: dict[str, set[StorageWindow]] = field(default_factory=dict)
    removed: int = 0
    dropped: int = 0


@dataclass(frozen=True, kw_only=True)
class Drain:
    """Moves an account's callback events to the raw log, batch by batch.

    Each event is stored once, even if a drain is killed and repeated or runs twice: batches never change, and
    files are named after them. Windows that were not folded are folded by the next publish. Memory holds one
    batch, then the fold of one window.
    """

    folder: DataFolder
    account: str
    inbox: Inbox
    clock: Clock

    def run(self) -> DrainOutcome:
        """Drain all events; raises `InboxFailed`, `StorageFailed` and `RawDamaged`."""
        outcome = DrainOutcome()
        for batch in self._batches():
            self._move(batch, outcome)
            self.inbox.finish(batch, self.clock())
        for name, windows in outcome.touched.items():
            for window in sorted(windows):
                fold_lake_file(self.folder, TABLES[name], self.account, window)
        outcome.removed = self.inbox.remove_drained(self.clock() - DRAINED_EVENTS_KEPT_FOR)
        return outcome

    def _batches(self) -> Iterator[str]:
        yield from self.inbox.list_claimed()
        while (batch := self.inbox.claim(_BATCH)) is not None:
            yield batch

    def _move(self, batch: str, outcome: DrainOutcome) -> None:
        events = self.inbox.read(batch)
        holds = read_holds(self.folder, self.account)
        for dataset, window, with_ids in group_events(events):
            kept = with_ids
            if is_deleted(self.folder, self.account, window):
                kept = [(event, record_id) for event, record_id in with_ids if _is_held(event, holds)]
                outcome.dropped += len(with_ids) - len(kept)
            if kept:
                name = _build_file_name(batch, dataset, window, kept)
                rows = [_build_row(event, batch) for event, _ in kept]
                RawLog(self.folder, self.account, dataset).append_callbacks_once(window, rows, name)
                outcome.touched.setdefault(table_of_dataset(dataset).name, set()).add(window)
                self._store_texts(window, kept, name, outcome)
        outcome.events += len(events)

    def _store_texts(self, window: StorageWindow, events: EventsWithIds, name: str, outcome: DrainOutcome) -> None:
        bodies = [
            DownloadAttempt.of_callback(record_id, event.content, event.received_at)
            for event, record_id in events
            if event.content is not None
        ]
        if bodies:
            DownloadLog(self.folder, self.account, CONTENTS.name).append_once(window, bodies, name)
            outcome.touched.setdefault(CONTENTS.name, set()).add(window)
            outcome.bodies += len(bodies)


def group_events(events: Sequence[Event]) -> Iterator[tuple[str, StorageWindow, EventsWithIds]]:
    """Group events by dataset and by the window of their record's start, or of their arrival without a usable one."""
    for table in FOLDED_TABLES:
        for dataset in table.datasets[1:]:
            selected = [event for event in events if event.dataset == dataset]
            grouped: dict[StorageWindow, list[tuple[Event, str]]] = {}
            records = [record for event in selected for record in load_records(event.body)]
            normalized = normalize_records(records, table, [event.received_at for event in selected])
            starts = dict(zip(normalized.positions, normalized.rows[table.started].to_pylist(), strict=True))
            ids = dict(zip(normalized.positions, normalized.rows["record_id"].to_pylist(), strict=True))
            for position, event in enumerate(selected):
                window = window_of(starts.get(position) or event.received_at)
                grouped.setdefault(window, []).append((event, str(ids.get(position, ""))))
            yield from ((dataset, window, with_ids) for window, with_ids in grouped.items())


def _is_held(event: Event, holds: Sequence[Hold]) -> bool:
    return any(isinstance(record, dict) and hold.holds(record) for record in load_records(event.body) for hold in holds)


def _build_file_name(batch: str, dataset: str, window: StorageWindow, events: EventsWithIds) -> str:
    digest = hashlib.sha256(f"{batch}/{dataset}/{window.key}".encode()).hexdigest()[:16]
    return f"{format_file_time(max(event.received_at for event, _ in events))}-{digest}"


def _build_row(event: Event, batch: str) -> RawResponse:
    """Build the raw log row of an event; its request is the instant it was received."""
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
