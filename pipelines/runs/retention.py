"""A deletion from start to end: planned, recorded, carried out, published, and recorded again."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from pipelines.clock import Clock
from pipelines.settings import Settings, SettingsError
from pipelines.steps.drain_inbox import group_events
from pipelines.warehouse_folder import build_mart_settings, has_inbox, open_folder, open_inbox
from warehouse.errors import PublishedInPart
from warehouse.outputs.report import write_report
from warehouse.raw.deletion_log import DeletionRecord, load_deletion_records, save_deletion_record
from warehouse.raw.inbox import Inbox
from warehouse.retention.deletion import Retention
from warehouse.retention.legal_holds import holds_account
from warehouse.snapshot.pointer import remove_superseded
from warehouse.snapshot.publish import hold_publish_lock, publish
from warehouse.windows import StorageWindow, window_of

_EVENTS_AT_A_TIME = 5_000


def plan_deletion(settings: Settings, *, older_than_days: int, now: datetime) -> DeletionRecord:
    """Return the planned deletion without changing anything. Raises `SettingsError` for days in the look-back."""
    if older_than_days <= settings.lookback_days:
        raise SettingsError(
            f"--older-than {older_than_days} must be more than IPLUM_LOOKBACK_DAYS ({settings.lookback_days}): "
            "the sync still updates these days"
        )
    folder = open_folder(settings)
    deletion = Retention(folder, settings.account).plan(older_than_days=older_than_days, now=now)
    if has_inbox(settings, folder) and not holds_account(folder, settings.account):
        with open_inbox(settings, folder) as inbox:
            deletion.inbox_events = sum(map(len, _find_events(inbox, before=deletion.first_kept)))
    return deletion


def list_unfinished(settings: Settings) -> list[DeletionRecord]:
    """List the deletions that were interrupted."""
    return [one for one in load_deletion_records(open_folder(settings), settings.account) if one.finished_at is None]


def carry_out(accounts: Sequence[Settings], settings: Settings, deletion: DeletionRecord, *, clock: Clock) -> None:
    """Permanently delete the planned windows and finish interrupted deletions.

    The record is saved before anything is deleted, and again once the tables are published without it. The
    database is rebuilt, so that no deleted byte remains in it. If the process is killed, the next call finishes the
    deletion. Raises `WarehouseError`.
    """
    folder = open_folder(settings)
    retention = Retention(folder, settings.account)
    unfinished = list_unfinished(settings)
    # A lake that lags behind could miss that a held record's text is in another window.
    with suppress(PublishedInPart):
        publish(folder, build_mart_settings(accounts))
    retention.describe_raw(deletion)
    save_deletion_record(folder, deletion)
    with hold_publish_lock(folder):
        for one in (*unfinished, deletion):
            retention.carry_out(one)
            save_deletion_record(folder, one)
    if has_inbox(settings, folder) and not holds_account(folder, settings.account):
        with open_inbox(settings, folder) as inbox:
            for numbers in filter(None, _find_events(inbox, before=deletion.first_kept)):
                inbox.remove(numbers)
    publish(folder, build_mart_settings(accounts), full=True)
    remove_superseded(folder, grace=timedelta())
    if folder.store.exists(folder.report.name):
        write_report(folder)
    for one in (*unfinished, deletion):
        one.finished_at = clock()
        save_deletion_record(folder, one)


def _find_events(inbox: Inbox, *, before: StorageWindow) -> Iterator[list[int]]:
    """Yield the numbers of drained events in deleted windows.

    A quarantined event belongs to the window in which it arrived.
    """
    after = 0
    while events := inbox.read_drained(after=after, at_most=_EVENTS_AT_A_TIME):
        after = events[-1].number
        groups, quarantined = group_events(events)
        numbers = [event.number for _, window, with_ids in groups if window < before for event, _ in with_ids]
        yield numbers + [event.number for event in quarantined if window_of(event.received_at) < before]
