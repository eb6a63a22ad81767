"""Draining the inbox: each event is stored once, even if a drain is killed or two run at once."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from iplum_resource.callbacks import parse_callback
from pipelines.steps import drain_inbox
from pipelines.steps.drain_inbox import DRAINED_EVENTS_KEPT_FOR, Drain
from tests.support.callbacks import usage_event
from warehouse.archive.backlog import find_backlog
from warehouse.archive.download_log import DownloadLog
from warehouse.lake.files import read_rows
from warehouse.raw.inbox import Event, Inbox
from warehouse.raw.log import RawLog
from warehouse.schema.tables import CONTENTS, RECORDINGS, USAGE, Table
from warehouse.snapshot.publish import publish
from warehouse.storage.paths import DataFolder
from warehouse.windows import window_of_key

NOW = datetime(2026, 3, 4, 8, tzinfo=UTC)
WINDOW = window_of_key("2026-03-01")
EARLIER = window_of_key("2026-02-26")


class Stopped(Exception):
    """Simulates a killed drain."""


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data", tmp_path / "state")


@pytest.fixture
def inbox(folder: DataFolder) -> Iterator[Inbox]:
    with Inbox(f"sqlite:///{folder.inbox}", "default") as opened:
        yield opened


def push(inbox: Inbox, *records: object, dataset: str = "usage_callbacks", at: datetime = NOW) -> None:
    kind = "usage" if dataset == "usage_callbacks" else "recordings"
    inbox.append(
        [
            Event(dataset=dataset, received_at=at, body=parsed.body, content=parsed.content)
            for parsed in parse_callback(json.dumps(records).encode(), kind)  # type: ignore[arg-type]
        ]
    )


def build_drain(folder: DataFolder, inbox: Inbox, now: datetime = NOW) -> Drain:
    return Drain(folder=folder, account="default", inbox=inbox, clock=lambda: now)


def list_ids(folder: DataFolder, table: Table = USAGE, window: object = WINDOW) -> list[str]:
    rows = read_rows(folder, table, "default", window)  # type: ignore[arg-type]
    return [] if rows is None else sorted(rows["record_id"])


def count_windows(folder: DataFolder) -> int:
    return len(list((folder.root / "raw").rglob("window_start=*")))


def count_raw(folder: DataFolder) -> int:
    return len(list((folder.root / "raw").rglob("*.parquet")))


def test_two_callbacks_of_one_record_keep_their_own_texts(folder: DataFolder, inbox: Inbox) -> None:
    push(inbox, usage_event("a", "2026-03-01T00:00:00Z", content="first"), usage_event("b", "2026-03-01T00:00:00Z"))
    push(inbox, usage_event("a", "2026-02-28T00:00:00Z", content="second"))
    build_drain(folder, inbox).run()
    assert list_ids(folder, CONTENTS) == ["a", "b"]
    assert list_ids(folder, CONTENTS, EARLIER) == ["a"]
    publish(folder)
    assert sorted(list_ids(folder, CONTENTS) + list_ids(folder, CONTENTS, EARLIER)) == ["a", "b"]


def test_a_forged_start_fills_no_window(folder: DataFolder, inbox: Inbox) -> None:
    """Otherwise a callback could fill windows of the year 2099."""
    push(inbox, usage_event("a", "2099-03-01T00:00:00Z"), usage_event("b", "2026-03-05T08:00:01Z"))
    assert build_drain(folder, inbox).run().quarantined == 2
    assert count_windows(folder) == 0


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00", "1999-12-31T23:59:59Z"])
def test_a_start_before_2000_counts_as_unset(folder: DataFolder, inbox: Inbox, start: str) -> None:
    push(inbox, usage_event("a", start))
    assert build_drain(folder, inbox).run().quarantined == 0
    assert list_ids(folder) == ["a"]


def test_events_are_stored_in_the_windows_of_their_records(folder: DataFolder, inbox: Inbox) -> None:
    push(inbox, usage_event("a", "2026-03-01T00:00:00Z"), usage_event("b", "2026-02-28T23:59:59Z"))
    push(inbox, {"recordId": "r", "dateTimeUTC": "2026-03-01T10:00:00Z"}, dataset="recording_callbacks")
    push(inbox, usage_event("odd", "no date at all"))
    outcome = build_drain(folder, inbox).run()
    assert (outcome.events, outcome.bodies) == (4, 3)
    assert outcome.touched == {"usage": {WINDOW, EARLIER}, "recordings": {WINDOW}, "contents": {WINDOW, EARLIER}}
    assert list_ids(folder) == ["a", "odd"]
    assert list_ids(folder, window=EARLIER) == ["b"]
    assert list_ids(folder, RECORDINGS) == ["r"]
    assert inbox.count_pending() == 0


def test_a_row_has_the_origin_and_times_of_its_callbacks(folder: DataFolder, inbox: Inbox) -> None:
    push(inbox, usage_event("a", "2026-03-01T00:00:00Z"), at=NOW + timedelta(seconds=7))
    push(inbox, usage_event("a", "2026-03-01T00:00:00Z"), at=NOW)
    build_drain(folder, inbox).run()
    rows = read_rows(folder, USAGE, "default", WINDOW)
    assert rows is not None
    (row,) = rows.to_dict("records")
    assert row["origin"] == "callback"
    assert (row["first_seen_at"], row["last_seen_at"]) == (NOW, NOW + timedelta(seconds=7))
    assert row["absent_since"] is None or row["absent_since"] != row["absent_since"]


def test_the_latest_callback_takes_precedence_per_field_unless_null(folder: DataFolder, inbox: Inbox) -> None:
    push(inbox, usage_event("a", "2026-03-01T00:00:00Z", iPlumCredits=5), at=NOW + timedelta(minutes=2))
    push(inbox, usage_event("a", "2026-03-01T00:00:00Z", iPlumCredits=1, duration="9"), at=NOW)
    push(inbox, usage_event("a", "2026-03-01T00:00:00Z", iPlumCredits=None), at=NOW + timedelta(minutes=3))
    build_drain(folder, inbox).run()
    rows = read_rows(folder, USAGE, "default", WINDOW)
    assert rows is not None
    assert rows[["credits", "duration_minutes"]].to_numpy().tolist() == [[5, 1]]


def test_the_text_of_a_callback_is_stored_unverified_and_requested(folder: DataFolder, inbox: Inbox) -> None:
    push(inbox, usage_event("a", "2026-03-01T00:00:00Z"), usage_event("b", "2026-03-01T00:00:00Z", content=None))
    build_drain(folder, inbox).run()
    rows = read_rows(folder, CONTENTS, "default", WINDOW)
    assert rows is not None
    columns = ["record_id", "body", "status", "origin", "attempts"]
    assert rows[columns].to_numpy().tolist() == [["a", "Hello", "pending", "callback", 0]]
    assert find_backlog(folder, CONTENTS, "default", WINDOW, now=NOW) == ["a", "b"]


@pytest.mark.parametrize("stopped_in", ["append_callbacks_once", "append_once", "finish", "fold_lake_file"])
@pytest.mark.parametrize("moment", ["before the call", "after the call"])
def test_a_killed_drain_is_continued_without_duplicates(
    folder: DataFolder, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, stopped_in: str, moment: str
) -> None:
    push(inbox, usage_event("a", "2026-03-01T00:00:00Z"), usage_event("b", "2026-02-28T23:59:59Z"))
    owner = {
        "append_callbacks_once": RawLog,
        "append_once": DownloadLog,
        "finish": Inbox,
        "fold_lake_file": drain_inbox,
    }[stopped_in]
    original = getattr(owner, stopped_in)

    def stop(*arguments: object, **named: object) -> None:
        if moment == "after the call":
            original(*arguments, **named)
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(owner, stopped_in, stop)
        with pytest.raises(Stopped):
            build_drain(folder, inbox).run()
    push(inbox, usage_event("c", "2026-03-01T00:00:00Z", content=None))
    build_drain(folder, inbox).run()
    assert list_ids(folder) == ["a", "c"]
    assert inbox.count_pending() == 0
    assert count_raw(folder) == 5, "usage of a, b and c; texts of a and b"
    # The publish folds windows that the killed drain did not.
    assert publish(folder).rows == {"usage": 3, "recordings": 0, "contents": 2, "recording_files": 0, "pulls": 3}


def test_a_batch_drained_twice_is_stored_once(folder: DataFolder, inbox: Inbox) -> None:
    push(inbox, usage_event("a", "2026-03-01T00:00:00Z"))
    inbox.claim(10)
    first, second = build_drain(folder, inbox), build_drain(folder, inbox)
    batches = list(first._batches())
    assert batches == list(second._batches())
    for drain in (first, second):
        drain._move(batches[0], drain_inbox.DrainOutcome())
    assert count_raw(folder) == 2


def test_several_batches_are_drained_in_one_run(
    folder: DataFolder, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_inbox, "_BATCH", 3)
    push(inbox, *[usage_event(f"id-{index}", "2026-03-01T00:00:00Z", content=None) for index in range(10)])
    assert build_drain(folder, inbox).run().events == 10
    assert len(list_ids(folder)) == 10
    assert count_raw(folder) == 4


def test_drained_events_are_removed_after_thirty_days(folder: DataFolder, inbox: Inbox) -> None:
    push(inbox, usage_event("a", "2026-03-01T00:00:00Z"))
    build_drain(folder, inbox).run()
    assert build_drain(folder, inbox, NOW + DRAINED_EVENTS_KEPT_FOR).run().removed == 0
    assert build_drain(folder, inbox, NOW + DRAINED_EVENTS_KEPT_FOR + timedelta(seconds=1)).run().removed == 1
    assert list_ids(folder) == ["a"]


def test_records_with_an_implausible_start_are_quarantined(folder: DataFolder, inbox: Inbox) -> None:
    push(
        inbox,
        usage_event("good", "2026-03-01T00:00:00Z"),
        usage_event("unset", "1999-12-31T23:59:59Z"),
        usage_event("too new", "2026-03-05T08:00:01Z"),
        usage_event("tomorrow", "2026-03-05T08:00:00Z"),
        usage_event("far", "9999-01-01T00:00:00Z"),
        usage_event("odd end", "2026-03-01T00:00:00Z", endTimeUTC="9999-01-01T00:00:00Z"),
        usage_event("unreadable", "no date at all"),
    )
    push(inbox, {"recordId": "r", "dateTimeUTC": "2970-01-01T00:00:00Z"}, dataset="recording_callbacks")
    outcome = build_drain(folder, inbox).run()
    assert (outcome.events, outcome.quarantined, inbox.count_quarantined()) == (8, 3, 3)
    assert list_ids(folder) == ["good", "odd end", "tomorrow", "unreadable", "unset"]
    assert count_windows(folder) == 2, "usage_callbacks and contents of one window"
    assert inbox.count_pending() == 0
    assert all(event.content is None for event in inbox.read("quarantine"))
    assert build_drain(folder, inbox, NOW + DRAINED_EVENTS_KEPT_FOR + timedelta(seconds=1)).run().removed == 8
    assert inbox.count_quarantined() == 0


def test_one_body_does_not_open_hundreds_of_windows(folder: DataFolder, inbox: Inbox) -> None:
    starts = [datetime(2001, 1, 1, tzinfo=UTC) + timedelta(days=30 * number) for number in range(300)]
    push(inbox, *(usage_event(f"{start:%Y%m%d}", f"{start:%Y-%m-%dT%H:%M:%SZ}", content=None) for start in starts))
    push(inbox, usage_event("old", "2005-01-01T00:00:00Z", content=None), at=NOW + timedelta(seconds=1))
    outcome = build_drain(folder, inbox).run()
    assert outcome.quarantined == 280
    assert count_windows(folder) == 21, "the latest 20 of the large body, and that of the other body"
    assert list_ids(folder, window=window_of_key("2005-01-01")) == ["old"]
