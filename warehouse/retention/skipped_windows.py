"""Windows that a sync skips because a deletion record says that retention deleted them."""

from datetime import datetime, timedelta

from warehouse.errors import RecordContradicted
from warehouse.raw.deletion_log import DeletionRecord, find_effective_record, locate_record
from warehouse.retention.redaction import is_redacted
from warehouse.schema.tables import FOLDED_TABLES
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of

# The clock of another machine may be ahead.
_CLOCK_TOLERANCE = timedelta(days=1)


def check_effective_record(
    folder: DataFolder, account: str, *, now: datetime, lookback: timedelta
) -> DeletionRecord | None:
    """Return the record of the deletion that reaches furthest, or None if nothing was deleted; `now` is aware UTC.

    Raises:
        RecordUnreadable: The record is damaged, or iplum did not write it.
        RecordContradicted: Retention cannot have made this deletion, or its data is still there.

    """
    record = find_effective_record(folder, account)
    if record is None:
        return None
    place = locate_record(folder, record)
    if record.began_at > now + _CLOCK_TOLERANCE:
        raise RecordContradicted(place, f"it is of the future ({record.began_at:%Y-%m-%d})")
    if record.first_kept > window_of(now - lookback):
        days = f"the last {lookback.days} days (IPLUM_LOOKBACK_DAYS)"
        raise RecordContradicted(place, f"it deletes days before {record.before}, but retention keeps {days}")
    left = [] if record.finished_at is None else _find_responses(folder, account, before=record.first_kept)
    if left:
        raise RecordContradicted(
            place,
            f"everything before {record.before} was deleted, but {len(left)} of these windows, such as {left[0].key}, "
            "have responses of iPlum",
        )
    return record


def describe_skipped_windows(folder: DataFolder, account: str, *, first: StorageWindow) -> str | None:
    """Describe the windows from `first` that are skipped, with the deletion record; None if none is."""
    record = find_effective_record(folder, account)
    if record is None or record.first_kept <= first:
        return None
    state = "" if record.finished_at else "; it is not finished, so run 'iplum retention' again"
    return (
        f"the windows of account {account} from {first.key} to before {record.before} are skipped: the deletion of "
        f"{record.began_at:%Y-%m-%d} covers them ({locate_record(folder, record)}){state}"
    )


def _find_responses(folder: DataFolder, account: str, *, before: StorageWindow) -> list[StorageWindow]:
    """List the windows with responses to requests that retention has not redacted. Callbacks may arrive later."""
    datasets = [table.datasets[0] for table in FOLDED_TABLES]
    windows = {window for dataset in datasets for window in folder.raw_windows(dataset, account) if window < before}
    return [
        window
        for window in sorted(windows)
        if not all(is_redacted(name) for dataset in datasets for name in folder.raw_names(dataset, account, window))
    ]
