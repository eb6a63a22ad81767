"""One row per record whose versions are in several windows: random histories compared with a plain Python model."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.raw_responses import at, call, create_folder, response, save
from warehouse.lake.files import read_rows
from warehouse.outputs.query import run_query
from warehouse.raw.log import RawLog, RawResponse
from warehouse.schema.tables import USAGE
from warehouse.snapshot.publish import publish
from warehouse.snapshot.repair import fold_stale_windows, link_duplicates
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of, window_of_key

WINDOWS = [window_of_key(key) for key in ("2023-03-16", "2023-03-21", "2023-03-26")]
STARTS = ["2023-03-18T10:00:00Z", "2023-03-20T23:59:59Z", "2023-03-21T00:00:00Z", "2023-03-28T10:00:00Z", "soon", None]
# The columns that the model computes, next to `record_id` and `window_start`.
FIELDS = {"clientReferenceId": "client_reference_id", "iPlumCredits": "credits", "startTimeUTC": "started_at"}


@dataclass(frozen=True)
class Event:
    """A pull of a window, or a callback that arrived in it, `hours` after 1 April."""

    window: StorageWindow
    hours: int
    is_pull: bool
    records: list[dict[str, Any]]


@dataclass(frozen=True)
class Version:
    """One payload of a record, in the window it belongs to."""

    window: StorageWindow
    hours: int
    is_pull: bool
    is_own: bool
    record: dict[str, Any]


def build_record(record_id: str, start: str | None, reference: str | None, credits_: int | None) -> dict[str, Any]:
    return call(record_id, startTimeUTC=start, endTimeUTC=None, clientReferenceId=reference, iPlumCredits=credits_)


records = st.builds(
    build_record,
    st.sampled_from("ab"),
    st.sampled_from(STARTS),
    st.sampled_from(["x", "y", None]),
    st.sampled_from([0, 3, None]),
)
pulls = st.lists(records, max_size=4)
callbacks = st.lists(records, min_size=1, max_size=1)
steps = st.lists(
    st.tuples(st.sampled_from(WINDOWS), st.booleans(), pulls, callbacks, st.booleans()), min_size=1, max_size=9
)


def parse_start(record: dict[str, Any]) -> datetime | None:
    text = record["startTimeUTC"]
    return datetime.fromisoformat(text) if text not in (None, "soon") else None


def compute_expected(events: list[Event]) -> list[tuple[Any, ...]]:
    """Compute the rows: record ID, window, origin, first and last seen, absence and fields."""
    by_id: dict[str, list[Version]] = {}
    for event in events:
        for record in choose_payloads(event.records):
            start = parse_start(record)
            window = window_of(start) if start else event.window
            version = Version(window, event.hours, event.is_pull, event.is_pull and window == event.window, record)
            by_id.setdefault(record["recordId"], []).append(version)
    return sorted(compute_row(record_id, versions, events) for record_id, versions in by_id.items())


def choose_payloads(payloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose one payload per ID: the one with the most readable values, and of equal ones the last by its JSON."""

    def rank(payload: dict[str, Any]) -> tuple[int, str]:
        values = {**payload, "startTimeUTC": parse_start(payload)}
        return sum(value is not None for value in values.values()), json.dumps(payload, sort_keys=True)

    return list({payload["recordId"]: payload for payload in sorted(payloads, key=rank)}.values())


def compute_row(record_id: str, versions: list[Version], events: list[Event]) -> tuple[Any, ...]:
    pulled = [version for version in versions if version.is_pull]
    absences = {window: find_absence(window, pulled, events) for window in {v.window for v in pulled}}
    own_windows = {version.window for version in pulled if version.is_own}

    def strength(version: Version) -> tuple[bool, bool, int]:
        is_present = version.is_pull and version.window in own_windows and absences[version.window] is None
        return version.is_pull, is_present, version.hours

    ordered = sorted(versions, key=strength)
    merged: dict[str, Any] = {}
    for version in ordered:
        values = {**version.record, "startTimeUTC": parse_start(version.record)}
        merged |= {name: values[name] for name in FIELDS if values[name] is not None}
    start = merged.get("startTimeUTC")
    is_absent = ordered[-1].is_pull and absences[ordered[-1].window] is not None
    return (
        record_id,
        (window_of(start) if start else ordered[-1].window).key,
        "both" if 0 < len(pulled) < len(versions) else "pull" if pulled else "callback",
        at(min(version.hours for version in versions)),
        at(max(version.hours for version in versions)),
        at(max(hours for hours in absences.values() if hours)) if is_absent else None,
        *(merged.get(name) for name in FIELDS),
    )


def find_absence(window: StorageWindow, pulled: list[Version], events: list[Event]) -> int | None:
    """Return the hours of the first pull without a record that an earlier pull of the window returned, or None."""
    here = [version for version in pulled if version.window == window]
    if not any(version.is_own for version in here):
        return None
    last_seen = max(version.hours for version in here)
    later = [event.hours for event in events if event.is_pull and event.window == window and event.hours > last_seen]
    return min(later, default=None)


def save_event(folder: DataFolder, event: Event) -> None:
    """Store an event as a sync or a drain would."""
    if event.is_pull:
        save(folder, response(event.records, event.hours, window=event.window), window=event.window)
        return
    (record,) = event.records
    start = parse_start(record)
    callback = RawResponse(
        request_start=at(event.hours),
        request_end=at(event.hours),
        usage_types=None,
        reason="callback",
        pull_id=f"batch-{event.hours}",
        complete=False,
        pulled_at=at(event.hours),
        rows=1,
        body=json.dumps(record).encode(),
    )
    RawLog(folder, "default", "usage_callbacks").append(window_of(start) if start else event.window, callback)


def fold_all(folder: DataFolder) -> None:
    """Fold as a publish does, without the marts."""
    damaged: set[str] = set()
    fold_stale_windows(folder, damaged)
    while link_duplicates(folder, {(USAGE, "default"): find_duplicates(folder)}):
        fold_stale_windows(folder, damaged)
    assert not damaged


def find_duplicates(folder: DataFolder) -> dict[str, frozenset[StorageWindow]]:
    windows: dict[str, set[StorageWindow]] = {}
    for window, row in read_lake(folder):
        windows.setdefault(row["record_id"], set()).add(window)
    return {record_id: frozenset(found) for record_id, found in windows.items() if len(found) > 1}


def read_lake(folder: DataFolder) -> Iterator[tuple[StorageWindow, dict[str, Any]]]:
    for window in folder.lake_windows("usage", "default"):
        rows = read_rows(folder, USAGE, "default", window)
        assert rows is not None
        for row in rows.astype(object).where(rows.notna(), None).to_dict("records"):
            yield window, {str(name): value for name, value in row.items()}


def list_lake_rows(folder: DataFolder) -> list[tuple[Any, ...]]:
    names = ("origin", "first_seen_at", "last_seen_at", "absent_since", *FIELDS.values())
    rows = [(row["record_id"], window.key, *(row[name] for name in names)) for window, row in read_lake(folder)]
    return sorted(rows, key=lambda row: row[:2])


def run_steps(folder: DataFolder, drawn: list[Any]) -> list[Event]:
    events = []
    for hours, (window, is_pull, pulled, pushed, is_followed_by_fold) in enumerate(drawn, start=1):
        events.append(Event(window, hours, is_pull, pulled if is_pull else pushed))
        save_event(folder, events[-1])
        if is_followed_by_fold:
            fold_all(folder)
    return events


@settings(max_examples=60, deadline=None)
@given(steps)
def test_each_record_is_one_row(drawn: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as path:
        folder = create_folder(Path(path))
        events = run_steps(folder, drawn)
        fold_all(folder)
        assert list_lake_rows(folder) == compute_expected(events)


@settings(max_examples=6, deadline=None)
@given(steps)
def test_an_incremental_and_a_full_publish_have_the_same_rows(drawn: list[Any]) -> None:
    """The published table, after a publish in the middle, equals the model and a full publish."""
    select = f"SELECT record_id, strftime(window_start, '%Y-%m-%d'), origin, {', '.join(FIELDS.values())} FROM usage"
    with tempfile.TemporaryDirectory() as path:
        folder = create_folder(Path(path))
        half = len(drawn) // 2
        events = run_steps(folder, drawn[:half])
        publish(folder)
        for hours, (window, is_pull, pulled, pushed, _) in enumerate(drawn[half:], start=half + 1):
            events.append(Event(window, hours, is_pull, pulled if is_pull else pushed))
            save_event(folder, events[-1])
        publish(folder)
        expected = [(*row[:3], *row[6:]) for row in compute_expected(events)]
        assert sorted(run_query(folder, select).rows) == expected
        publish(folder, full=True)
        assert sorted(run_query(folder, select).rows) == expected


def test_the_model_on_a_handwritten_example() -> None:
    """A start that is corrected across the edge of a window, with the expected row written by hand."""
    first, second = WINDOWS[0], WINDOWS[1]
    before = build_record("a", STARTS[1], "x", None)
    after = build_record("a", STARTS[2], None, 3)
    events = [Event(first, 1, True, [before]), Event(first, 2, True, []), Event(second, 3, True, [after])]
    start = datetime(2023, 3, 21, tzinfo=UTC)
    assert compute_expected(events) == [("a", second.key, "pull", at(1), at(3), None, "x", 3, start)]


@pytest.mark.parametrize("full", [False, True])
def test_existing_duplicates_are_merged_without_a_request(tmp_path: Path, full: bool) -> None:
    """Folders written by earlier versions may have a record in two windows."""
    folder = create_folder(tmp_path)
    events = [
        Event(window, hours, True, [build_record("a", start, None, 3)])
        for window, hours, start in ((WINDOWS[0], 1, STARTS[1]), (WINDOWS[1], 2, STARTS[2]))
    ]
    for event in events:
        save_event(folder, event)
    publish(folder, full=full)
    assert list(run_query(folder, "SELECT record_id, credits FROM usage").rows) == [("a", 3.0)]
    assert list(run_query(folder, "SELECT sum(credits) FROM marts.daily_totals").rows) == [(3.0,)]
