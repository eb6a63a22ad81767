"""Which windows a sync or an audit owes: a pure function of the ledger, the calendar and the clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from warehouse.lake.files import WindowState, read_state
from warehouse.schema.tables import Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, windows_between

_NEVER = datetime.min.replace(tzinfo=UTC)


def read_states(
    folder: DataFolder, table: Table, account: str, windows: Sequence[StorageWindow]
) -> dict[StorageWindow, WindowState]:
    """Read what is known of each window; those never folded are left out."""
    states = folder.store.map(lambda window: read_state(folder, table, account, window), windows)
    return {window: state for window, state in zip(windows, states, strict=True) if state is not None}


def find_due(
    states: Mapping[StorageWindow, WindowState], *, since: datetime, now: datetime, lookback: timedelta
) -> list[StorageWindow]:
    """List the windows from `since` up to `now` that want pulling, oldest first (times aware UTC).

    A window is settled once a complete pull was made after it left the look-back: so the open window, the
    look-back, holes after downtime and what was never pulled are all due by one rule. An account that is
    refused a dataset (no recording plan) owes only the newest window, whose pull tells when that changes.
    """
    windows = list(windows_between(since, now + timedelta(microseconds=1)))
    due = [window for window in windows if not is_settled(states.get(window), window, lookback)]
    return due[-1:] if _is_refused(states) else due


def find_reach(folder: DataFolder, table: Table, account: str) -> datetime | None:
    """Tell up to which instant (UTC) a complete pull brought a table's rows; None where there was none.

    Pulling an old window again doesn't move it, and the newest window reaches to its pull, not to its end.
    """
    seen = folder.with_cached_listings(account)
    states = read_states(seen, table, account, seen.lake_windows(table.name, account))
    return max(
        (min(state.complete_at, window.end) for window, state in states.items() if state.complete_at), default=None
    )


def find_audits(
    states: Sequence[Mapping[StorageWindow, WindowState]], *, since: datetime, now: datetime, at_most: int
) -> list[StorageWindow]:
    """List the windows from `since` up to `now` to audit next, at most so many, oldest window first.

    `states` are those of each dataset; one that the account is refused has no say. Those that no audit has proven
    come first, the newest of them before the others; then those whose audit is the longest ago. So an audit a
    week goes round all of history, however long it is, at the same price each time. The window still open is
    left to the sync.
    """
    asked = [of_dataset for of_dataset in states if not _is_refused(of_dataset)]
    windows = [window for window in windows_between(since, now) if window.end <= now]

    def audited_at(window: StorageWindow) -> datetime:
        known = [of_dataset.get(window) for of_dataset in asked]
        return min((state.audited_at or _NEVER if state else _NEVER for state in known), default=_NEVER)

    in_turn = sorted(sorted(windows, reverse=True), key=audited_at)
    return sorted(in_turn[:at_most])


def group_into_ranges(windows: Sequence[StorageWindow], *, at_most: int) -> Iterator[list[StorageWindow]]:
    """Cut windows into contiguous stretches of at most so many, the newest stretch first."""
    stretch: list[StorageWindow] = []
    for window in reversed(windows):
        if stretch and (window.next() != stretch[0] or len(stretch) == at_most):
            yield stretch
            stretch = []
        stretch.insert(0, window)
    if stretch:
        yield stretch


def is_settled(state: WindowState | None, window: StorageWindow, lookback: timedelta) -> bool:
    """Say whether a complete pull was made after a window left the look-back, so that no row is still to come."""
    return state is not None and state.complete_at is not None and state.complete_at >= window.end + lookback


def _is_refused(states: Mapping[StorageWindow, WindowState]) -> bool:
    refused = max((state.refused_at for state in states.values() if state.refused_at), default=None)
    complete = max((state.complete_at for state in states.values() if state.complete_at), default=None)
    return refused is not None and (complete is None or refused > complete)
