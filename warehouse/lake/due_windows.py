"""Due windows: which ones the next sync or audit requests (docs/design.md, "What is due")."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from warehouse.lake.files import WindowState, read_state
from warehouse.schema.tables import Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, windows_between

_NEVER = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)
#: Clocks of several machines may differ by this much.
_CLOCK_TOLERANCE = timedelta(hours=1)


def read_states(
    folder: DataFolder, table: Table, account: str, windows: Sequence[StorageWindow]
) -> dict[StorageWindow, WindowState]:
    """Read the state of each window that has a lake file."""
    states = folder.store.map(lambda window: read_state(folder, table, account, window), windows)
    return {window: state for window, state in zip(windows, states, strict=True) if state is not None}


def find_due(
    states: Mapping[StorageWindow, WindowState],
    *,
    since: datetime,
    now: datetime,
    lookback: timedelta,
    usage_types: Collection[str] = (),
) -> list[StorageWindow]:
    """List the due windows from `since` up to `now`, oldest first; times are aware UTC.

    A window is settled once a complete pull of each of the `usage_types` was made after it left the look-back. All
    others are due: the open window, the look-back, gaps after downtime, windows that were never pulled, and all of
    history if a usage type is added. A pull that was recorded in the future, while the machine's clock was wrong, does
    not count. Usage types that iPlum refuses do not count. For an account without permission for a dataset (no
    recording plan), only the newest window is due, whose pull shows when that changes.
    """
    windows = list(windows_between(since, now + timedelta(microseconds=1)))
    wanted = set(usage_types) - find_refused_types(states.values(), now=now)
    due = [window for window in windows if not is_settled(states.get(window), window, lookback, wanted, now=now)]
    return due[-1:] if is_refused(states.values(), now=now) else due


def find_latest_pull(folder: DataFolder, table: Table, account: str, *, now: datetime | None = None) -> datetime | None:
    """Return the instant (UTC) up to which complete pulls cover a table; None without any.

    Pulling an old window again does not change it. The newest window counts up to its pull, not to its end. With `now`,
    pulls that were recorded in the future do not count.
    """
    listed = folder.with_cached_listings(account)
    states = read_states(listed, table, account, listed.lake_windows(table.name, account))
    latest = _LATEST if now is None else now + _CLOCK_TOLERANCE
    ends = (
        min(state.complete_at, window.end)
        for window, state in states.items()
        if state.complete_at and state.complete_at <= latest
    )
    return max(ends, default=None)


def find_audits(
    states: Sequence[Mapping[StorageWindow, WindowState]], *, since: datetime, now: datetime, at_most: int
) -> list[StorageWindow]:
    """List the windows to audit next, at most `at_most`, oldest first.

    Windows without an audit come first, the newest of them before the others, then those audited longest ago. So
    weekly audits cover all of history in turn, at a constant cost. The open window is left to the sync. `states`
    has one mapping per dataset; refused datasets are ignored.
    """
    permitted = [dataset_states for dataset_states in states if not is_refused(dataset_states.values(), now=now)]
    windows = [window for window in windows_between(since, now) if window.end <= now]

    def audited_at(window: StorageWindow) -> datetime:
        known = [dataset_states.get(window) for dataset_states in permitted]
        return min((state.audited_at or _NEVER if state else _NEVER for state in known), default=_NEVER)

    # The sort is stable, so windows that were never audited remain newest first.
    by_audit = sorted(sorted(windows, reverse=True), key=audited_at)
    return sorted(by_audit[:at_most])


def group_into_ranges(windows: Sequence[StorageWindow], *, at_most: int) -> Iterator[list[StorageWindow]]:
    """Group windows into contiguous ranges of at most `at_most` windows, newest range first."""
    window_range: list[StorageWindow] = []
    for window in reversed(windows):
        if window_range and (window.next() != window_range[0] or len(window_range) == at_most):
            yield window_range
            window_range = []
        window_range.insert(0, window)
    if window_range:
        yield window_range


def is_settled(
    state: WindowState | None,
    window: StorageWindow,
    lookback: timedelta,
    usage_types: Collection[str] = (),
    *,
    now: datetime,
) -> bool:
    """Whether a complete pull, of each usage type, was made after the window left the look-back, and before `now`."""
    if state is None or state.complete_at is None:
        return False
    # A lake file of an earlier version has no types; the next publish folds it again.
    pulls = [state.complete_types.get(name, _NEVER) for name in usage_types] if state.complete_types else []
    pulls.append(state.complete_at)
    return min(pulls) >= window.end + lookback and max(pulls) <= now + _CLOCK_TOLERANCE


def find_refused_types(states: Collection[WindowState], *, now: datetime) -> set[str]:
    """Return the usage types that iPlum refused since their latest complete pull; `states` are of all windows.

    Refusals and pulls that were recorded in the future do not count.
    """
    refused = _find_latest((state.refused_types for state in states), now)
    complete = _find_latest((state.complete_types for state in states), now)
    return {name for name, at in refused.items() if at > complete.get(name, _NEVER)}


def count_missing_types(
    states: Collection[WindowState], usage_types: Collection[str], *, now: datetime
) -> dict[str, int]:
    """Count, per usage type, the completely pulled windows that lack it; types that iPlum refuses are left out."""
    pulled = [state for state in states if state.complete_types]
    counts = {name: sum(name not in state.complete_types for state in pulled) for name in usage_types}
    refused = find_refused_types(states, now=now)
    return {name: count for name, count in counts.items() if count and name not in refused}


def _find_latest(times: Iterable[Mapping[str, datetime]], now: datetime) -> dict[str, datetime]:
    latest: dict[str, datetime] = {}
    for name, at in (item for mapping in times for item in mapping.items()):
        if at <= now + _CLOCK_TOLERANCE:
            latest[name] = max(at, latest.get(name, at))
    return latest


def is_refused(states: Collection[WindowState], *, now: datetime | None = None) -> bool:
    """Whether iPlum refused a dataset (HTTP 403) since its latest complete pull; `states` are of all its windows.

    With `now`, refusals and pulls that were recorded in the future do not count.
    """
    latest = _LATEST if now is None else now + _CLOCK_TOLERANCE
    refused = max((s.refused_at for s in states if s.refused_at and s.refused_at <= latest), default=None)
    complete = max((s.complete_at for s in states if s.complete_at and s.complete_at <= latest), default=None)
    return refused is not None and (complete is None or refused > complete)
