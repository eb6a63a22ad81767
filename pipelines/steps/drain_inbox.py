"""Draining the inbox: events are moved to the raw log, and their windows folded."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pipelines.clock import Clock
from warehouse.archive.download_log import DownloadAttempt, DownloadLog, fold_lake_file
from warehouse.lake.lenient_parser import parse_instant
from warehouse.lake.normalize import UNREAD, normalize_records
from warehouse.raw.deletion_log import is_deleted
from warehouse.raw.inbox import Event, Inbox
from warehouse.raw.json_records import load_records
from warehouse.raw.log import RawLog, RawResponse, format_file_time
from warehouse.retention.legal_holds import Hold, read_holds
from warehouse.schema.tables import CONTENTS, FOLDED_TABLES, TABLES, Table, table_of_dataset
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of

#: Time for which drained events are kept in the inbox.
DRAINED_EVENTS_KEPT_FOR = timedelta(days=30)
_BATCH = 5_000
# Each window is a file to fold; iPlum sends events as they happen.
_WINDOWS_PER_BODY = 20
#: Events with the IDs of their records.
EventsWithIds = Sequence[tuple[Event, str]]
#: A dataset, a window, and their events.
EventGroup = tuple[str, StorageWindow, EventsWithIds]


@dataclass
class DrainOutcome:
    """The result of a drain: events, message texts among them, and the folded windows per table.

    `dropped` counts events of deleted windows, and `quarantined` those that are not plausible; they are not moved.
    """

    events: int = 0
    bodies: int = 0
    touched: dict[str, set[StorageWindow]] = field(default_factory=dict)
    removed: int = 0
    dropped: int = 0
    quarantined: int = 0


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
        groups, quarantined = group_events(events)
        for dataset, window, with_ids in groups:
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
        self.inbox.quarantine([event.number for event in quarantined], self.clock())
        outcome.quarantined += len(quarantined)
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


def group_events(events: Sequence[Event]) -> tuple[list[EventGroup], list[Event]]:
    """Group events by dataset and by the window of their record's start, or of their arrival if that cannot be used.

    Returns the groups, and the events for quarantine: their start is more than a day after their arrival, or their
    body has records of more than 20 windows and theirs is not among the latest 20.
    """
    groups: list[EventGroup] = []
    quarantined: list[Event] = []
    for table in FOLDED_TABLES:
        for dataset in table.datasets[1:]:
            selected = [event for event in events if event.dataset == dataset]
            if not selected:
                continue
            placed = _place_events(selected, table)
            limits = _find_earliest_windows(placed)
            grouped: dict[StorageWindow, list[tuple[Event, str]]] = {}
            for event, record_id, window in placed:
                if window is None or window < limits[event.received_at]:
                    quarantined.append(event)
                else:
                    grouped.setdefault(window, []).append((event, record_id))
            groups += [(dataset, window, with_ids) for window, with_ids in grouped.items()]
    return groups, quarantined


def _place_events(events: Sequence[Event], table: Table) -> list[tuple[Event, str, StorageWindow | None]]:
    """Return each event with its record's ID and window; the window is None for a start in the future."""
    records = [record for event in events for record in load_records(event.body)]
    normalized = normalize_records(records, table, [event.received_at for event in events])
    rows = normalized.rows.set_axis(list(normalized.positions))
    starts, ids, unread = (rows[name].dropna().to_dict() for name in (table.started, "record_id", UNREAD))
    field = next(column.field for column in table.columns if column.name == table.started)
    placed = []
    for position, event in enumerate(events):
        forged = parse_instant(json.loads(unread.get(position) or "{}").get(field))
        is_future = forged is not None and forged > event.received_at
        window = None if is_future else window_of(starts.get(position) or event.received_at)
        placed.append((event, str(ids.get(position, "")), window))
    return placed


def _find_earliest_windows(placed: Sequence[tuple[Event, str, StorageWindow | None]]) -> dict[datetime, StorageWindow]:
    """Return the earliest window accepted from each body; the events of one body have the same time of arrival."""
    windows: dict[datetime, set[StorageWindow]] = {}
    for event, _, window in placed:
        if window is not None:
            windows.setdefault(event.received_at, set()).add(window)
    return {at: sorted(found)[-_WINDOWS_PER_BODY:][0] for at, found in windows.items()}


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
