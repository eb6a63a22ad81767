"""Due windows, and their grouping into runs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.support.raw_responses import WINDOW, at, call, create_folder, fold, response
from warehouse.lake.due_windows import (
    count_missing_types,
    find_audits,
    find_due,
    find_latest_pull,
    group_into_ranges,
    read_states,
)
from warehouse.lake.files import WindowState
from warehouse.schema.tables import USAGE
from warehouse.windows import StorageWindow, window_of, windows_between

SINCE = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 3, 14, 9, tzinfo=UTC)
LOOKBACK = timedelta(days=7)
WINDOWS = list(windows_between(SINCE, NOW))
NEVER = WindowState(
    version="1",
    folded=(),
    complete_at=None,
    refused_at=None,
    largest_answer=0,
    rows=0,
    unreadable=0,
    unread=0,
    absent=0,
)


def pulled(at: datetime) -> WindowState:
    return replace(NEVER, complete_at=at)


def list_due(states: dict[StorageWindow, WindowState]) -> list[str]:
    return [window.key for window in find_due(states, since=SINCE, now=NOW, lookback=LOOKBACK)]


def test_all_windows_are_due_at_first() -> None:
    assert list_due({}) == [window.key for window in WINDOWS]


def test_open_window_and_look_back_are_due_after_a_sync() -> None:
    assert list_due(dict.fromkeys(WINDOWS, pulled(NOW))) == ["2024-03-06", "2024-03-11"]


def test_a_pull_of_the_future_is_not_final() -> None:
    """A machine whose clock is ahead records it, and "nothing is due" would hold until that date."""
    states = dict.fromkeys(WINDOWS, pulled(NOW + timedelta(days=400)))
    assert list_due(states) == list_due({})
    assert list_due(dict.fromkeys(WINDOWS, pulled(NOW + timedelta(minutes=1)))) == ["2024-03-06", "2024-03-11"]


def test_window_is_due_once_more_after_the_look_back() -> None:
    """Otherwise, a row that arrived on the look-back's last day would be missing."""
    window = window_of(datetime(2024, 2, 26, tzinfo=UTC))
    states = dict.fromkeys(WINDOWS, pulled(NOW))
    assert window.key in list_due({**states, window: pulled(window.end + LOOKBACK - timedelta(seconds=1))})
    assert window.key not in list_due({**states, window: pulled(window.end + LOOKBACK)})


def test_gaps_are_due() -> None:
    states = dict.fromkeys(WINDOWS, pulled(NOW))
    del states[WINDOWS[3]]
    states[WINDOWS[5]] = NEVER
    assert list_due(states) == [WINDOWS[3].key, WINDOWS[5].key, "2024-03-06", "2024-03-11"]


def test_only_newest_window_of_refused_dataset_is_due() -> None:
    refused = {WINDOWS[0]: replace(NEVER, refused_at=NOW - timedelta(days=1))}
    assert list_due(refused) == ["2024-03-11"]


def test_all_windows_are_due_when_dataset_is_permitted_again() -> None:
    states = {
        WINDOWS[0]: replace(NEVER, refused_at=NOW - timedelta(days=2)),
        WINDOWS[-1]: pulled(NOW - timedelta(days=1)),
    }
    assert list_due(states) == [window.key for window in WINDOWS]


# --- usage types


def list_due_types(states: dict[StorageWindow, WindowState], *usage_types: str) -> list[str]:
    due = find_due(states, since=SINCE, now=NOW, lookback=LOOKBACK, usage_types=usage_types)
    return [window.key for window in due]


def pulled_types(at: datetime, *usage_types: str) -> WindowState:
    return replace(pulled(at), complete_types=dict.fromkeys(usage_types, at))


def test_all_of_history_is_due_for_an_added_usage_type() -> None:
    states = dict.fromkeys(WINDOWS, pulled_types(NOW, "fax"))
    assert list_due_types(states, "fax") == ["2024-03-06", "2024-03-11"]
    assert list_due_types(states, "fax", "iplumcall") == [window.key for window in WINDOWS]
    states[WINDOWS[2]] = replace(states[WINDOWS[2]], complete_types={"fax": NOW, "iplumcall": NOW})
    assert WINDOWS[2].key not in list_due_types(states, "fax", "iplumcall")
    early = {"fax": NOW, "iplumcall": WINDOWS[2].end}
    states[WINDOWS[2]] = replace(states[WINDOWS[2]], complete_types=early)
    assert WINDOWS[2].key in list_due_types(states, "fax", "iplumcall"), "the type's pull was inside the look-back"


def test_a_refused_usage_type_is_not_due_until_a_pull_returns_it() -> None:
    earlier, later = NOW - timedelta(hours=2), NOW - timedelta(hours=1)
    states = dict.fromkeys(WINDOWS, pulled_types(NOW, "fax"))
    states[WINDOWS[5]] = replace(states[WINDOWS[5]], refused_types={"iplumcall": earlier})
    assert list_due_types(states, "fax", "iplumcall") == ["2024-03-06", "2024-03-11"]
    states[WINDOWS[-1]] = pulled_types(later, "fax", "iplumcall")
    assert list_due_types(states, "fax", "iplumcall") == [window.key for window in WINDOWS]
    assert count_missing_types(list(states.values()), ["fax", "iplumcall"], now=NOW) == {"iplumcall": len(WINDOWS) - 1}
    states[WINDOWS[0]] = replace(states[WINDOWS[0]], refused_types={"iplumcall": NOW})
    assert list_due_types(states, "fax", "iplumcall") == ["2024-03-06", "2024-03-11"]
    assert count_missing_types(list(states.values()), ["fax", "iplumcall"], now=NOW) == {}


def test_a_refusal_that_was_recorded_in_the_future_does_not_count() -> None:
    """The machine's clock was ahead; otherwise the type, or the dataset, would be refused until then."""
    ahead = NOW + timedelta(days=365)
    states = dict.fromkeys(WINDOWS, pulled_types(NOW, "fax"))
    states[WINDOWS[5]] = replace(states[WINDOWS[5]], refused_types={"iplumcall": ahead})
    assert list_due_types(states, "fax", "iplumcall") == [window.key for window in WINDOWS]
    assert list_due({WINDOWS[0]: replace(NEVER, refused_at=ahead)}) == [window.key for window in WINDOWS]


def test_the_types_of_pulls_and_refusals_are_in_the_lake_file(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    fold(folder, response([], 1, types="fax"), response([], 2, types="iplumcall,fax"))
    refusal = replace(response([], 3, types="externaltext", complete=False), rows=None, body=None)
    fold(folder, refusal)
    state = read_states(folder, USAGE, "default", [WINDOW])[WINDOW]
    assert state.complete_types == {"fax": at(2), "iplumcall": at(2)}
    assert state.refused_types == {"externaltext": at(3)}
    assert state.refused_at is None
    assert state.complete_at == at(2)


def test_a_lake_file_without_types_is_of_all_types() -> None:
    """It was written by an earlier version; the next publish folds it again."""
    assert list_due_types(dict.fromkeys(WINDOWS, pulled(NOW)), "fax") == ["2024-03-06", "2024-03-11"]


# --- audits


def audited(at: datetime) -> WindowState:
    return replace(pulled(at), audited_at=at)


def list_next_audits(*states: dict[StorageWindow, WindowState], at_most: int = 3) -> list[str]:
    return [window.key for window in find_audits(states, since=SINCE, now=NOW, at_most=at_most)]


def test_newest_closed_windows_are_audited_first() -> None:
    assert list_next_audits({}) == ["2024-02-26", "2024-03-01", "2024-03-06"]
    assert list_next_audits({WINDOWS[-2]: audited(NOW)}) == ["2024-02-21", "2024-02-26", "2024-03-01"]


def test_audit_is_due_if_any_permitted_dataset_has_none() -> None:
    usage = {window: audited(NOW - timedelta(days=n)) for n, window in enumerate(WINDOWS)}
    recordings = {window: audited(NOW) for window in WINDOWS if window != WINDOWS[4]}
    longest_ago = [window.key for window in WINDOWS[-3:-1]]
    assert list_next_audits(usage, recordings) == [WINDOWS[4].key, *longest_ago]
    refused = {WINDOWS[-1]: replace(NEVER, refused_at=NOW)}
    assert list_next_audits(usage, refused) == [window.key for window in WINDOWS[-4:-1]]


@given(st.integers(1, 6))
def test_audits_visit_all_windows_equally_often(at_most: int) -> None:
    states: dict[StorageWindow, WindowState] = {}
    weeks = -(-(len(WINDOWS) - 1) // at_most)
    chosen = []
    for week in range(2 * weeks):
        at = NOW + timedelta(hours=week)
        now_due = find_audits([states], since=SINCE, now=NOW, at_most=at_most)
        chosen += now_due
        states |= dict.fromkeys(now_due, audited(at))
    counts = [chosen.count(window) for window in WINDOWS[:-1]]
    assert min(counts) >= 2
    assert max(counts) - min(counts) <= 1


@given(st.sets(st.sampled_from(WINDOWS)), st.integers(1, 5))
def test_ranges_are_contiguous_and_contain_each_window_once(chosen: set[StorageWindow], at_most: int) -> None:
    ranges = list(group_into_ranges(sorted(chosen), at_most=at_most))
    assert sorted(window for window_range in ranges for window in window_range) == sorted(chosen)
    assert [window_range[0] for window_range in ranges] == sorted((r[0] for r in ranges), reverse=True)
    for window_range in ranges:
        assert 1 <= len(window_range) <= at_most
        assert [window.next() for window in window_range[:-1]] == window_range[1:]


def test_pulling_an_old_window_does_not_change_the_latest_pull(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    assert find_latest_pull(folder, USAGE, "default") is None
    fold(folder, response([], 1, complete=False))
    assert find_latest_pull(folder, USAGE, "default") is None
    fold(folder, response([call()], 2))
    assert find_latest_pull(folder, USAGE, "default") == WINDOW.end
    open_window = window_of(at(3))
    fold(folder, response([], 3, window=open_window), window=open_window)
    assert find_latest_pull(folder, USAGE, "default") == at(3)
    assert find_latest_pull(folder, USAGE, "default", now=at(1)) != at(3), "a pull of the future does not count"
    fold(folder, response([call()], 50))
    assert find_latest_pull(folder, USAGE, "default") == at(3)
