"""Retention: deletion of old data everywhere, legal holds, and recovery after a killed run."""

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.support.raw_responses import at, call, create_folder, fold, response, save
from warehouse.archive.download_log import DownloadAttempt, DownloadLog, fold_download_log
from warehouse.archive.media_store import MediaStore
from warehouse.checks.verification import Verification
from warehouse.errors import HoldsUnreadable, NoSuchHold, RawDamaged
from warehouse.lake.fold import fold_window
from warehouse.outputs.query import run_query
from warehouse.raw.deletion_log import (
    DeletionRecord,
    find_first_kept_window,
    is_deleted,
    load_deletion_records,
    save_deletion_record,
)
from warehouse.raw.log import RawLog
from warehouse.retention.deletion import Retention
from warehouse.retention.legal_holds import Hold, add_hold, read_hold_history, read_holds, remove_hold
from warehouse.schema.tables import CONTENTS, RECORDINGS, USAGE
from warehouse.snapshot.database import open_snapshot
from warehouse.snapshot.publish import is_stale, publish
from warehouse.storage.local import LocalStore
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of, window_of_key

OLD = window_of_key("2023-03-16")
OLDER = window_of_key("2023-03-11")
FIRST_KEPT = window_of_key("2023-03-21")
#: A current time at which FIRST_KEPT is the first window with data younger than ten days.
NOW = FIRST_KEPT.start + timedelta(days=12)
ANN, BOB = "ann@clinic.example", "bob@clinic.example"


def text(record_id: str, start: str, user: str = BOB, **changes: Any) -> dict[str, Any]:
    return call(record_id, f"{start}T00:00:00Z", usage="text", userId=user, to=user, **changes)


def archive(folder: DataFolder, window: StorageWindow, record_id: str, content: bytes) -> str:
    with MediaStore(folder).open_incoming() as incoming:
        incoming.sink.write(content)
        stored = MediaStore(folder).store(incoming, expected="any")
    attempt = DownloadAttempt(
        record_id=record_id,
        attempted_at=at(0),
        status="verified",
        kind="media",
        sha256=stored.sha256,
        bytes=stored.bytes,
        media_type=stored.media_type,
        path=stored.path,
    )
    DownloadLog(folder, "default", "contents").append(window, [attempt])
    fold_download_log(folder, CONTENTS, "default", window)
    return stored.path


def declare_hold(folder: DataFolder, **terms: Any) -> Hold:
    return add_hold(
        folder, **{"account": None, "user": None, "counterparty": None, "note": None, **terms}, since=date(2023, 4, 1)
    )


def run_query_rows(folder: DataFolder, sql: str) -> list[tuple[Any, ...]]:
    return list(run_query(folder, sql).rows)


def delete_old(folder: DataFolder) -> DeletionRecord:
    retention = Retention(folder, "default")
    deletion = retention.plan(older_than_days=10, now=NOW)
    retention.describe_raw(deletion)
    save_deletion_record(folder, deletion)
    retention.carry_out(deletion)
    publish(folder, full=True)
    deletion.finished_at = NOW
    save_deletion_record(folder, deletion)
    return deletion


def list_published(folder: DataFolder, table: str = "usage") -> set[str]:
    with open_snapshot(folder.snapshot) as connection:
        return {name for (name,) in connection.execute(f"SELECT record_id FROM {table}").fetchall()}


def read_all_text(folder: DataFolder) -> str:
    """Return all text in the data folder, to search it for deleted names."""
    found = [str(pq.ParquetFile(path).read().to_pylist()) for path in folder.root.rglob("*.parquet")]
    found.append(folder.snapshot.read_bytes().decode("latin-1"))
    found += [path.read_text() for path in folder.root.rglob("retention/**/*.json")]
    with open_snapshot(folder.snapshot) as connection:
        tables = connection.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables()").fetchall()
        found += [str(connection.execute(f"FROM {table}").fetchall()) for (table,) in tables]
    return "\n".join(found)


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = create_folder(tmp_path)
    fold(folder, response([text("older-bob", "2023-03-11")], 1, window=OLDER), window=OLDER)
    fold(
        folder, response([text("old-ann", "2023-03-16", ANN), text("old-bob", "2023-03-17")], 1, window=OLD), window=OLD
    )
    fold(folder, response([text("recent", "2023-03-22")], 1, window=FIRST_KEPT), window=FIRST_KEPT)
    recording = {"recordId": "rec", "dateTimeUTC": "2023-03-16T00:24:00Z", "phonenumber": "+14085550100"}
    fold(folder, response([recording], 1, types=None, window=OLD), table=RECORDINGS, window=OLD)
    publish(folder)
    return folder


# --- deleted and remaining data


def test_old_data_is_deleted_everywhere_and_recorded(folder: DataFolder) -> None:
    deletion = delete_old(folder)
    assert list_published(folder) == {"recent"}
    assert list_published(folder, "recordings") == set()
    remaining = read_all_text(folder)
    assert not [name for name in ("older-bob", "old-ann", "old-bob", '"rec"') if name in remaining]
    assert [key for key, _ in sorted(deletion.windows.items())] == [OLDER.key, OLD.key]
    assert (deletion.rows["usage"], deletion.rows["recordings"], deletion.held["usage"]) == (3, 1, 0)
    raw = [entry for window in deletion.windows.values() for entry in window["raw"]]
    assert len(raw) == 3
    assert all(len(entry["sha256"]) == 64 and entry["bytes"] > 0 for entry in raw)
    assert load_deletion_records(folder, "default") == [deletion]
    assert find_first_kept_window(folder, "default") == FIRST_KEPT
    assert is_deleted(folder, "default", OLD)
    assert not is_deleted(folder, "default", FIRST_KEPT)
    assert not is_deleted(folder, "other", OLD)
    assert folder.raw_windows("usage", "default") == folder.lake_windows("usage", "default") == [FIRST_KEPT]
    assert not is_stale(folder)
    assert Retention(folder, "default").plan(older_than_days=10, now=NOW).windows == {}
    assert list(Verification(folder=folder).find_mismatches()) == []


@pytest.mark.parametrize(
    "terms",
    [
        {"user": ANN},
        {"user": ANN.upper()},
        {"user": ANN, "counterparty": "(408) 123-1234"},
        {"account": "default", "user": ANN},
    ],
)
def test_a_held_record_is_kept_unchanged_with_its_content_and_file(folder: DataFolder, terms: dict[str, str]) -> None:
    def row() -> list[Any]:
        with open_snapshot(folder.snapshot) as connection:
            return connection.execute("FROM usage WHERE record_id = 'old-ann'").fetchall()

    before = row()
    path = archive(folder, OLD, "old-ann", b"ID3 of ann")
    archive(folder, OLD, "old-bob", b"ID3 of bob")
    declare_hold(folder, **terms)
    deletion = delete_old(folder)
    assert list_published(folder) == {"recent", "old-ann"}
    assert row() == before
    assert list_published(folder, "contents") == {"old-ann"}
    assert list(MediaStore(folder).list_files()) == [path]
    assert "old-bob" not in read_all_text(folder)
    assert (deletion.held["usage"], deletion.held["contents"]) == (1, 1)
    assert Retention(folder, "default").plan(older_than_days=10, now=NOW).windows == {}, "nothing is left to delete"
    fold_window(folder, USAGE, "default", OLD)
    publish(folder, full=True)
    assert row() == before

    remove_hold(folder, 1, on=date(2023, 5, 1))
    delete_old(folder)
    assert list_published(folder) == {"recent"}
    assert list(MediaStore(folder).list_files()) == []


def test_held_records_of_a_response_are_kept_byte_for_byte(folder: DataFolder) -> None:
    odd = '{"recordId" : "odd",  "userId":"ann@clinic.example","startTimeUTC":"2023-03-16T01:00Z","x":"\\ud83d é"}'
    body = f"\n[ {json.dumps(text('other', '2023-03-16'))} ,\t{odd}, 7, null]".encode()
    original = response([], 2, window=OLD)
    RawLog(folder, "default", "usage").append(OLD, type(original)(**{**original.__dict__, "body": body, "rows": 4}))
    declare_hold(folder, user=ANN)
    delete_old(folder)
    log = RawLog(folder, "default", "usage")
    bodies = [stored.body for _, stored in log.read(OLD, log.names(OLD)) if stored.body]
    assert f"[{odd}]".encode() in bodies


def test_a_hold_on_one_version_of_a_record_keeps_all_versions(folder: DataFolder) -> None:
    fold(folder, response([text("old-ann", "2023-03-16", user="", iPlumCredits=9)], 2, window=OLD), window=OLD)
    declare_hold(folder, user=ANN)
    delete_old(folder)
    with open_snapshot(folder.snapshot) as connection:
        assert connection.execute("SELECT credits FROM usage WHERE record_id = 'old-ann'").fetchall() == [(9.0,)]


def test_absence_of_a_held_record_is_kept(folder: DataFolder) -> None:
    fold(folder, response([], 2, window=OLD), window=OLD)
    declare_hold(folder, user=ANN)
    delete_old(folder)
    with open_snapshot(folder.snapshot) as connection:
        ((absent,),) = connection.execute("SELECT absent_since FROM usage WHERE record_id = 'old-ann'").fetchall()
    assert absent == at(2)


def test_a_hold_on_an_account_prevents_all_deletion_in_it(folder: DataFolder) -> None:
    declare_hold(folder, account="default")
    assert delete_old(folder).windows == {}
    assert list_published(folder) == {"older-bob", "old-ann", "old-bob", "recent"}
    remove_hold(folder, 1, on=date(2023, 5, 1))
    declare_hold(folder, account="other")
    delete_old(folder)
    assert list_published(folder) == {"recent"}


def test_a_hold_on_one_version_covers_the_others_and_the_text(folder: DataFolder) -> None:
    """The user was renamed and the start corrected across the edge of two windows, both of which are deleted."""
    fold(folder, response([text("moved", "2023-03-15", ANN)], 1, window=OLDER), window=OLDER)
    fold(
        folder,
        response([text("moved", "2023-03-16", "robert@clinic.example", iPlumCredits=9)], 2, window=OLD),
        window=OLD,
    )
    archive(folder, OLD, "moved", b"%PDF-1.7 moved")
    publish(folder)
    declare_hold(folder, user=ANN)
    delete_old(folder)
    assert "moved" in list_published(folder)
    assert run_query_rows(folder, "SELECT credits FROM usage WHERE record_id = 'moved'") == [(9.0,)]
    assert run_query_rows(folder, "SELECT status FROM contents WHERE record_id = 'moved'") == [("verified",)]


def test_a_deleted_record_does_not_come_back_from_a_window_it_has_left(folder: DataFolder) -> None:
    kept_start = f"{FIRST_KEPT.key}"
    fold(folder, response([text("moved", kept_start)], 1, window=FIRST_KEPT), window=FIRST_KEPT)
    archive(folder, FIRST_KEPT, "moved", b"%PDF-1.7 moved")
    publish(folder)
    fold(folder, response([text("moved", "2023-03-20")], 2, window=OLD), window=OLD)
    fold(folder, response([text("recent", kept_start)], 3, window=FIRST_KEPT), window=FIRST_KEPT)
    publish(folder)
    delete_old(folder)
    assert list_published(folder) == {"recent"}
    assert list_published(folder, "contents") == set()
    publish(folder, full=True)
    assert list_published(folder) == {"recent"}


def test_a_file_that_the_lake_does_not_know_of_yet_is_kept(folder: DataFolder) -> None:
    """A killed run stored an attempt on a recent record with the same file, and did not fold it."""
    path = archive(folder, OLD, "old-bob", b"%PDF-1.7 shared")
    attempt = DownloadAttempt(record_id="recent", attempted_at=at(1), status="verified", kind="media", path=path)
    DownloadLog(folder, "default", "contents").append(FIRST_KEPT, [attempt])
    Retention(folder, "default").carry_out(Retention(folder, "default").plan(older_than_days=10, now=NOW))
    assert folder.store.exists(path)


def test_a_hold_declared_after_the_plan_is_respected(folder: DataFolder) -> None:
    retention = Retention(folder, "default")
    deletion = retention.plan(older_than_days=10, now=NOW)
    declare_hold(folder, counterparty="+14085550100")
    retention.carry_out(deletion)
    publish(folder)
    assert list_published(folder, "recordings") == {"rec"}


def test_a_file_that_a_kept_record_uses_is_kept(folder: DataFolder) -> None:
    path = archive(folder, OLD, "old-bob", b"ID3 sent twice")
    assert archive(folder, FIRST_KEPT, "recent", b"ID3 sent twice") == path
    deleted = archive(folder, OLD, "old-ann", b"ID3 once")
    deletion = delete_old(folder)
    assert list(MediaStore(folder).list_files()) == [path]
    assert {file["path"] for file in deletion.files} == {path, deleted}
    assert len(deletion.files_kept) == 1


def test_an_old_record_in_the_response_of_a_kept_window_is_deleted_and_does_not_return(folder: DataFolder) -> None:
    """If iPlum filters by the end of a call, a call from before midnight is also returned for the next window."""
    late = text("edge-row", "2023-03-20", endTimeUTC="2023-03-21T00:10:00Z", startTimeUTC="2023-03-20T23:59:00Z")
    fold(folder, response([late, text("recent", "2023-03-22")], 2, window=FIRST_KEPT), window=FIRST_KEPT)
    publish(folder)
    assert "edge-row" in list_published(folder)
    delete_old(folder)
    assert list_published(folder) == {"recent"}
    assert "edge-row" not in read_all_text(folder)
    save(folder, response([late, text("recent", "2023-03-22")], 3, window=FIRST_KEPT), window=FIRST_KEPT)
    publish(folder)
    assert list_published(folder) == {"recent"}, "an out-of-window record is not stored in a deleted window"
    assert folder.raw_windows("usage", "default") == [FIRST_KEPT]


# --- properties, also after a killed run


class Killed(BaseException):
    """An exception that no production code catches."""


class KilledStore(LocalStore):
    """A store that raises `Killed` after a number of changed files."""

    remaining = 0

    def _count(self) -> None:
        KilledStore.remaining -= 1
        if KilledStore.remaining < 0:
            raise Killed

    def write(self, key: str, content: bytes | memoryview) -> None:
        self._count()
        super().write(key, content)

    def remove(self, key: str) -> None:
        self._count()
        super().remove(key)


days = st.tuples(st.integers(0, 14), st.sampled_from([ANN, BOB]))


@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(drawn=st.lists(days, min_size=4, max_size=12), killed_at=st.integers(0, 25), is_held=st.booleans())
def test_exactly_the_recent_and_the_held_records_remain(
    drawn: Sequence[tuple[int, str]], killed_at: int, is_held: bool
) -> None:
    records = [
        text(f"r{n}-{user[:3]}", str((OLDER.start + timedelta(days=day)).date()), user)
        for n, (day, user) in enumerate(drawn)
    ]
    with TemporaryDirectory() as path:
        folder = create_folder(Path(path))
        for window in (OLDER, OLD, FIRST_KEPT):
            own = [r for r in records if window_of(datetime.fromisoformat(r["startTimeUTC"])) == window]
            fold(folder, response(own, 1, window=window), response(own[1:], 2, window=window), window=window)
            for record in own:
                archive(folder, window, record["recordId"], b"ID3 " + record["recordId"].encode())
        publish(folder)
        if is_held:
            declare_hold(folder, user=ANN)
        folder.__dict__["store"], KilledStore.remaining = KilledStore(folder.root, folder.modes), killed_at
        try:
            delete_old(folder)
        except Killed:
            KilledStore.remaining = 10_000
            for unfinished in load_deletion_records(folder, "default"):
                Retention(folder, "default").carry_out(unfinished)
                unfinished.finished_at = NOW
                save_deletion_record(folder, unfinished)
            delete_old(folder)
        kept = {
            r["recordId"]
            for r in records
            if datetime.fromisoformat(r["startTimeUTC"]) >= FIRST_KEPT.start or (is_held and r["userId"] == ANN)
        }
        assert list_published(folder) == list_published(folder, "contents") == kept
        assert len(list(MediaStore(folder).list_files())) == len(kept)
        remaining = read_all_text(folder)
        assert not [r["recordId"] for r in records if r["recordId"] not in kept and r["recordId"] in remaining]
        with open_snapshot(folder.snapshot) as connection:
            duplicates = "SELECT pull_id, count(*) FROM pulls WHERE reason = 'pull' GROUP BY ALL HAVING count(*) > 3"
            assert connection.execute(duplicates).fetchall() == []
        assert [str(mismatch) for mismatch in Verification(folder=folder).find_mismatches()] == []


# --- holds


def test_holds_are_numbered_stored_privately_and_removed(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    assert read_holds(folder) == []
    first, second = declare_hold(folder, user=ANN, note="case 17"), declare_hold(folder, account="east")
    assert (first.number, second.number) == (1, 2)
    assert read_holds(folder) == [first, second]
    assert read_holds(folder, "west") == [first]
    assert ANN not in repr(first)
    assert (folder.root / "holds.json").stat().st_mode & 0o777 == 0o600
    remove_hold(folder, 1, on=date(2023, 5, 1))
    assert read_holds(folder) == [second]
    with pytest.raises(NoSuchHold, match="number 1"):
        remove_hold(folder, 1, on=date(2023, 5, 2))


def test_a_removed_hold_leaves_a_record_and_its_number_is_never_used_again(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    first = declare_hold(folder, user=ANN, note="case 17")
    remove_hold(folder, first.number, on=date(2023, 5, 1))
    assert read_holds(folder) == []
    second = declare_hold(folder, user=BOB)
    remove_hold(folder, second.number, on=date(2023, 5, 2))
    assert declare_hold(folder, account="east").number == 3
    records = [(one.number, one.user, one.note, one.removed) for one in read_hold_history(folder)]
    assert records == [(1, ANN, "case 17", date(2023, 5, 1)), (2, BOB, None, date(2023, 5, 2)), (3, None, None, None)]
    # A file of an earlier version.
    content = json.loads((folder.root / "holds.json").read_text())
    (folder.root / "holds.json").write_text(json.dumps([{**content[2]}]).replace(', "removed": null', ""))
    assert [one.number for one in read_holds(folder)] == [3]


@pytest.mark.parametrize(
    ("terms", "record", "is_held"),
    [
        ({"user": ANN}, {"userId": ANN}, True),
        ({"user": ANN}, {"userId": BOB}, False),
        ({"user": ANN}, {"userId": None, "to": ANN}, True),
        ({"counterparty": "+1 408-555-0100"}, {"from": "+14085550100"}, True),
        ({"counterparty": "4085550100"}, {"phonenumber": "+14085550100"}, True),
        ({"counterparty": "+14085550101"}, {"from": "+14085550100"}, False),
        ({"counterparty": "12345"}, {"from": "+14085512345"}, False),
        ({"counterparty": "12345"}, {"from": "12345"}, True),
        ({"user": ANN, "counterparty": "12345"}, {"userId": ANN, "from": "99999"}, False),
        ({"account": "default"}, {}, True),
    ],
)
def test_a_hold_matches_records_by_user_counterparty_and_account(
    terms: dict[str, Any], record: dict[str, Any], is_held: bool
) -> None:
    assert Hold(number=1, since=date(2023, 4, 1), **terms).holds(record) is is_held


@pytest.mark.parametrize("content", ["{}", "5", "null", "[1]", '[{"number": 1}]', "[" * 100_000, "[", ""])
def test_a_damaged_file_of_holds_never_reads_as_no_holds(folder: DataFolder, content: str) -> None:
    (folder.root / "holds.json").write_text(content)
    with pytest.raises(HoldsUnreadable, match="nothing is deleted"):
        read_holds(folder)


def test_nothing_is_deleted_if_the_raw_log_or_the_holds_cannot_be_read(folder: DataFolder) -> None:
    declare_hold(folder, user=ANN)
    (name,) = folder.raw_files("usage", "default", OLDER)
    whole = (folder.root / name).read_bytes()
    (folder.root / name).write_bytes(whole[:100])
    with pytest.raises(RawDamaged):
        delete_old(folder)
    (folder.root / name).write_bytes(whole)
    (folder.root / "holds.json").write_text("[{")
    with pytest.raises(HoldsUnreadable, match="nothing is deleted"):
        delete_old(folder)
    assert load_deletion_records(folder, "default") == []
    assert list_published(folder) == {"older-bob", "old-ann", "old-bob", "recent"}
