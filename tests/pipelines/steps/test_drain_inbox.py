"""Draining the inbox: each event is stored once, even if a drain is killed or two run at once."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from iplum_resource.callbacks import parse_callback
from pipelines.steps import drain_inbox as draining
from pipelines.steps.drain_inbox import DRAINED_EVENTS_KEPT_FOR, Drain
from tests.support.pushing import record
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
    """Raised to end a drain in the middle, like kill -9."""


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
            Event(dataset=dataset, received_at=at, body=pushed.body, content=pushed.content)
            for pushed in parse_callback(json.dumps(records).encode(), kind)  # type: ignore[arg-type]
        ]
    )


def make_drain(folder: DataFolder, inbox: Inbox, now: datetime = NOW) -> Drain:
    return Drain(folder=folder, account="default", inbox=inbox, clock=lambda: now)


def ids(folder: DataFolder, table: Table = USAGE, window: object = WINDOW) -> list[str]:
    rows = read_rows(folder, table, "default", window)  # type: ignore[arg-type]
    return [] if rows is None else sorted(rows["record_id"])


def count_raw(folder: DataFolder) -> int:
    return len(list((folder.root / "raw").rglob("*.parquet")))


def test_events_are_filed_where_their_records_began(folder: DataFolder, inbox: Inbox) -> None:
    push(inbox, record("a", "2026-03-01T00:00:00Z"), record("b", "2026-02-28T23:59:59Z"))
    push(inbox, {"recordId": "r", "dateTimeUTC": "2026-03-01T10:00:00Z"}, dataset="recording_callbacks")
    push(inbox, record("odd", "no date at all"))
    outcome = make_drain(folder, inbox).run()
    assert (outcome.events, outcome.bodies) == (4, 3)
    assert outcome.touched == {"usage": {WINDOW, EARLIER}, "recordings": {WINDOW}, "contents": {WINDOW, EARLIER}}
    assert ids(folder) == ["a", "odd"]
    assert ids(folder, window=EARLIER) == ["b"]
    assert ids(folder, RECORDINGS) == ["r"]
    assert inbox.count_pending() == 0


def test_a_row_says_that_it_was_pushed_and_when(folder: DataFolder, inbox: Inbox) -> None:
    push(inbox, record("a", "2026-03-01T00:00:00Z"), at=NOW + timedelta(seconds=7))
    push(inbox, record("a", "2026-03-01T00:00:00Z"), at=NOW)
    make_drain(folder, inbox).run()
    rows = read_rows(folder, USAGE, "default", WINDOW)
    assert rows is not None
    (row,) = rows.to_dict("records")
    assert row["origin"] == "callback"
    assert (row["first_seen_at"], row["last_seen_at"]) == (NOW, NOW + timedelta(seconds=7))
    assert row["absent_since"] is None or row["absent_since"] != row["absent_since"]


def test_the_latest_push_wins_field_by_field_and_null_never(folder: DataFolder, inbox: Inbox) -> None:
    push(inbox, record("a", "2026-03-01T00:00:00Z", iPlumCredits=5), at=NOW + timedelta(minutes=2))
    push(inbox, record("a", "2026-03-01T00:00:00Z", iPlumCredits=1, duration="9"), at=NOW)
    push(inbox, record("a", "2026-03-01T00:00:00Z", iPlumCredits=None), at=NOW + timedelta(minutes=3))
    make_drain(folder, inbox).run()
    rows = read_rows(folder, USAGE, "default", WINDOW)
    assert rows is not None
    assert rows[["credits", "duration_minutes"]].to_numpy().tolist() == [[5, 1]]


def test_a_pushed_body_is_in_the_archive_and_not_asked_for_again(folder: DataFolder, inbox: Inbox) -> None:
    push(inbox, record("a", "2026-03-01T00:00:00Z"), record("b", "2026-03-01T00:00:00Z", content=None))
    make_drain(folder, inbox).run()
    rows = read_rows(folder, CONTENTS, "default", WINDOW)
    assert rows is not None
    assert rows[["record_id", "body", "status"]].to_numpy().tolist() == [["a", "Hello", "verified"]]
    assert find_backlog(folder, CONTENTS, "default", WINDOW, now=NOW) == ["b"]


@pytest.mark.parametrize("ended_by", ["append_callbacks_once", "append_once", "finish", "fold_lake_file"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_drain_that_was_killed_is_taken_up_again_and_doubles_nothing(
    folder: DataFolder, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, ended_by: str, moment: str
) -> None:
    push(inbox, record("a", "2026-03-01T00:00:00Z"), record("b", "2026-02-28T23:59:59Z"))
    owner = {"append_callbacks_once": RawLog, "append_once": DownloadLog, "finish": Inbox, "fold_lake_file": draining}[
        ended_by
    ]
    genuine = getattr(owner, ended_by)

    def stop(*arguments: object, **named: object) -> None:
        if moment == "after":
            genuine(*arguments, **named)
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(owner, ended_by, stop)
        with pytest.raises(Stopped):
            make_drain(folder, inbox).run()
    push(inbox, record("c", "2026-03-01T00:00:00Z", content=None))
    make_drain(folder, inbox).run()
    assert ids(folder) == ["a", "c"]
    assert inbox.count_pending() == 0
    assert count_raw(folder) == 5, "usage of a, b and c, bodies of a and b"
    # What was filed but not folded, publishing folds first.
    assert publish(folder).rows == {"usage": 3, "recordings": 0, "contents": 2, "recording_files": 0, "pulls": 3}


def test_two_drains_of_one_batch_file_it_once(folder: DataFolder, inbox: Inbox) -> None:
    push(inbox, record("a", "2026-03-01T00:00:00Z"))
    inbox.claim(10)
    first, second = make_drain(folder, inbox), make_drain(folder, inbox)
    batches = list(first._batches())
    assert batches == list(second._batches())
    for drain in (first, second):
        drain._move(batches[0], draining.DrainOutcome())
    assert count_raw(folder) == 2


def test_more_than_a_batch_is_drained_in_one_run(
    folder: DataFolder, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "_BATCH", 3)
    push(inbox, *[record(f"id-{index}", "2026-03-01T00:00:00Z", content=None) for index in range(10)])
    assert make_drain(folder, inbox).run().events == 10
    assert len(ids(folder)) == 10
    assert count_raw(folder) == 4


def test_drained_events_stay_for_thirty_days(folder: DataFolder, inbox: Inbox) -> None:
    push(inbox, record("a", "2026-03-01T00:00:00Z"))
    make_drain(folder, inbox).run()
    assert make_drain(folder, inbox, NOW + DRAINED_EVENTS_KEPT_FOR).run().removed == 0
    assert make_drain(folder, inbox, NOW + DRAINED_EVENTS_KEPT_FOR + timedelta(seconds=1)).run().removed == 1
    assert ids(folder) == ["a"]
