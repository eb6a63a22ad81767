"""The download log: merged attempts, backlog, verification and export of downloads."""

import csv
import io
import json
import random
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.raw_responses import WINDOW, at, call, create_folder, fold, response, rows_of
from warehouse.archive.backlog import find_backlog
from warehouse.archive.download_log import DownloadAttempt, DownloadLog, fold_download_log, merge_attempts
from warehouse.archive.media_store import MediaStore
from warehouse.checks.verification import Verification
from warehouse.errors import ExportFailed, NothingPublished
from warehouse.outputs.export import MANIFEST, Selection, export
from warehouse.outputs.query import run_query
from warehouse.raw.log import RawLog, RawResponse
from warehouse.schema.tables import CONTENTS, DOWNLOAD_LOG_SCHEMA, RECORDING_FILES, RECORDINGS
from warehouse.snapshot.publish import publish
from warehouse.storage.paths import RAW_SUFFIX, DataFolder

MARCH = Selection(since=datetime(2023, 3, 1, tzinfo=UTC), until=datetime(2023, 4, 1, tzinfo=UTC))


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = create_folder(tmp_path)
    texts = [call(name, usage="text", userId=f"{name}@x.example") for name in ("t1", "t2", "t3")]
    fold(folder, response([*texts, call("f1", usage="fax"), call("c1")], 1))
    recording = {"recordId": "r1", "dateTimeUTC": "2023-03-22T00:24:00Z", "duration": "3", "length": "2 KB"}
    fold(folder, response([recording], 1, types=None), table=RECORDINGS)
    return folder


def attempt(record_id: str, hours: float, status: Any = "verified", **changes: Any) -> DownloadAttempt:
    body = {"kind": "text", "body": "hi", "sha256": HI, "bytes": 2} if status == "verified" else {"error": "why"}
    return DownloadAttempt(record_id=record_id, attempted_at=at(hours), status=status, **{**body, **changes})


HI = "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4"


def log(folder: DataFolder, *attempts: DownloadAttempt, table: Any = CONTENTS) -> None:
    DownloadLog(folder, "default", table.name).append(WINDOW, attempts)
    fold_download_log(folder, table, "default", WINDOW)


def list_backlog(folder: DataFolder, hours: float, table: Any = CONTENTS) -> list[str]:
    return sorted(find_backlog(folder, table, "default", WINDOW, now=at(hours)))


def status(folder: DataFolder, record_id: str) -> tuple[Any, ...]:
    row = rows_of(folder, table=CONTENTS).loc[record_id]
    return row["status"], row["attempts"], None if pd.isna(row["error"]) else row["error"]


def test_texts_faxes_and_recordings_are_due_but_calls_are_not(folder: DataFolder) -> None:
    assert list_backlog(folder, 2) == ["f1", "t1", "t2", "t3"]
    assert list_backlog(folder, 2, RECORDING_FILES) == ["r1"]


def test_verified_records_are_never_due_again(folder: DataFolder) -> None:
    log(folder, attempt("t1", 2), attempt("t2", 2))
    assert list_backlog(folder, 1000) == ["f1", "t3"]
    log(folder, attempt("t1", 3, "failed"))
    assert status(folder, "t1") == ("verified", 2, None)


def test_intervals_between_attempts_grow(folder: DataFolder) -> None:
    log(folder, attempt("t1", 0, "failed"))
    assert "t1" not in list_backlog(folder, 0.2)
    assert "t1" in list_backlog(folder, 0.25)
    log(folder, attempt("t1", 1, "failed"))
    assert "t1" not in list_backlog(folder, 1.4)
    assert "t1" in list_backlog(folder, 1.5)
    log(folder, *(attempt("t1", hour, "failed") for hour in range(2, 20)))
    assert "t1" in list_backlog(folder, 19 + 24), "every failed record is due within a day"


def test_file_that_is_unavailable_for_a_day_is_gone(folder: DataFolder) -> None:
    log(folder, attempt("t1", 0, "pending"), attempt("t1", 23, "pending"))
    assert status(folder, "t1")[0] == "pending"
    log(folder, attempt("t1", 24, "pending"))
    assert status(folder, "t1") == ("gone", 3, "why")
    assert "t1" not in list_backlog(folder, 10_000)


attempts = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 50), st.sampled_from(["verified", "pending", "failed", "lost"])),
    min_size=1,
    max_size=8,
    unique_by=lambda drawn: drawn[:2],
)


@settings(max_examples=60, deadline=None)
@given(attempts, st.randoms(use_true_random=False))
def test_order_of_attempts_does_not_matter(drawn: Any, randomness: random.Random) -> None:
    def merge(selected: list[Any]) -> pd.DataFrame:
        rows = [attempt(*values).__dict__ for values in selected]
        return merge_attempts(pd.DataFrame(rows, columns=DOWNLOAD_LOG_SCHEMA.names))

    shuffled = drawn[:]
    randomness.shuffle(shuffled)
    pd.testing.assert_frame_equal(merge(drawn), merge(shuffled))
    merged = merge(drawn).set_index("record_id")
    for record_id in merged.index:
        own = [values for values in drawn if values[0] == record_id]
        assert merged.loc[record_id, "attempts"] == len(own)
        lost_at = max((hours for _, hours, status in own if status == "lost"), default=-1)
        is_verified = any(status == "verified" and hours > lost_at for _, hours, status in own)
        assert (merged.loc[record_id, "status"] == "verified") == is_verified
        was_verified = any(status == "verified" for _, _, status in own)
        assert merged.loc[record_id, "sha256"] == HI if was_verified else merged.loc[record_id, "status"] != "verified"


# --- texts of callbacks


def delivered(record_id: str, hours: float, text: str = "hi") -> DownloadAttempt:
    return DownloadAttempt.of_callback(record_id, text, at(hours))


def content(folder: DataFolder, record_id: str) -> tuple[Any, ...]:
    row = rows_of(folder, table=CONTENTS).loc[record_id]
    return row["body"], row["status"], row["origin"], row["attempts"]


@pytest.mark.parametrize("hours", [1, 3])
def test_the_text_that_iplum_returns_replaces_the_one_of_a_callback(folder: DataFolder, hours: float) -> None:
    log(folder, delivered("t1", hours, "planted"), delivered("t2", hours))
    log(folder, attempt("t1", 2), attempt("t2", 2), attempt("t3", 2))
    assert content(folder, "t1") == ("hi", "verified", "pull", 1)
    assert content(folder, "t2") == ("hi", "verified", "both", 1)
    assert content(folder, "t3") == ("hi", "verified", "pull", 1)
    assert list_backlog(folder, 1000) == ["f1"]


@pytest.mark.parametrize("hours", [1, 3])
def test_the_text_of_a_callback_is_never_verified_without_iplum(folder: DataFolder, hours: float) -> None:
    log(folder, delivered("t1", hours, "first"), delivered("t1", hours + 9, "second"))
    assert content(folder, "t1") == ("first", "pending", "callback", 0)
    log(folder, attempt("t1", 2, "failed"))
    assert content(folder, "t1") == ("first", "failed", "callback", 1)
    log(folder, attempt("t1", 20, "pending"), attempt("t2", 20, "pending"))
    assert content(folder, "t1") == ("first", "pending", "callback", 2)
    log(folder, attempt("t1", 27, "pending"))
    assert content(folder, "t1") == ("first", "gone", "callback", 3)
    assert pd.isna(content(folder, "t2")[2])


def test_a_first_request_long_after_the_callback_leaves_the_text_pending(folder: DataFolder) -> None:
    log(folder, delivered("t1", 1))
    log(folder, attempt("t1", 100, "pending"))
    assert content(folder, "t1") == ("hi", "pending", "callback", 1)


def write_old_file(folder: DataFolder, name: str, *attempts: DownloadAttempt) -> None:
    """Write a file of the download log as version 0.1.0 did, with the texts of callbacks as verified."""
    rows = [{**asdict(attempt), "status": "verified"} for attempt in attempts]
    schema = pa.schema([field for field in DOWNLOAD_LOG_SCHEMA if field.name != "origin"])
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
    key = f"{folder.raw_folder('contents', 'default', WINDOW)}/{name}{RAW_SUFFIX}"
    folder.store.write(key, sink.getbuffer())


def test_texts_of_callbacks_stored_by_version_0_1_0_are_pending(folder: DataFolder) -> None:
    from_callback, downloaded = "20230322T000000.000000Z-1111111111111111", "20230322T000000.000000Z-2222222222222222"
    write_old_file(folder, from_callback, delivered("t1", 1, "planted"))
    write_old_file(folder, downloaded, attempt("t2", 1))
    event = RawResponse(**{**vars(response([call("t1")], 1)), "reason": "callback"})
    RawLog(folder, "default", "usage_callbacks").append_callbacks_once(WINDOW, [event], from_callback)
    assert list_backlog(folder, 2) == ["f1", "t1", "t3"], "only the texts of callbacks are requested again"
    assert content(folder, "t1") == ("planted", "pending", "callback", 0)
    assert content(folder, "t2") == ("hi", "verified", "pull", 1)
    publish(folder)
    rows = run_query(folder, "SELECT record_id, origin, status FROM contents ORDER BY ALL").rows
    assert list(map(tuple, rows)) == [("t1", "callback", "pending"), ("t2", "pull", "verified")]


def test_a_copy_of_attempts_keeps_their_origin(folder: DataFolder) -> None:
    log(folder, delivered("t1", 1), attempt("t2", 1))
    contents = DownloadLog(folder, "default", "contents")
    names = folder.raw_names("contents", "default", WINDOW)
    contents.append_selection_once(WINDOW, names, ["t1", "t2"], "20230322T000000.000000Z-copy")
    fold_download_log(folder, CONTENTS, "default", WINDOW)
    assert content(folder, "t1") == ("hi", "pending", "callback", 0)
    assert content(folder, "t2") == ("hi", "verified", "pull", 1)


# --- verification


@pytest.fixture
def archived(folder: DataFolder) -> DataFolder:
    with MediaStore(folder).open_incoming() as incoming:
        incoming.sink.write(b"ID3 a sound")
        stored = MediaStore(folder).store(incoming, expected="audio")
    media = {"kind": "media", "body": None, "media_type": "audio/mpeg"}
    file = {"sha256": stored.sha256, "bytes": stored.bytes, "path": stored.path}
    log(folder, attempt("t1", 2), attempt("t2", 2, **media, **file), attempt("t3", 2, "failed"))
    log(folder, attempt("r1", 2, **{**media, "kind": None}, **file), table=RECORDING_FILES)
    publish(folder)
    return folder


def find_mismatches(folder: DataFolder, **bounds: Any) -> list[str]:
    return [str(mismatch) for mismatch in Verification(folder=folder, **bounds).find_mismatches()]


def find_file(folder: DataFolder) -> Path:
    (key,) = MediaStore(folder).list_files()
    return folder.root / key


def test_intact_folder_has_no_mismatches(archived: DataFolder) -> None:
    hashed: list[int] = []
    assert find_mismatches(archived, on_file=hashed.append) == []
    assert hashed == [11], "a file of two rows is hashed once"


def test_flipped_bit_is_found(archived: DataFolder) -> None:
    path = find_file(archived)
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(bytes(content))
    (found,) = find_mismatches(archived)
    assert "damaged" in found
    assert path.name in found
    assert find_mismatches(archived, until=WINDOW.start) == []
    assert len(find_mismatches(archived, since=WINDOW.start, until=WINDOW.start + timedelta(days=1))) == 1


def test_missing_file_is_found(archived: DataFolder) -> None:
    find_file(archived).unlink()
    (found,) = find_mismatches(archived)
    assert "missing" in found


def test_file_without_a_row_is_found(archived: DataFolder) -> None:
    other = find_file(archived).with_name("0" * 64 + ".mp3")
    other.write_bytes(b"ID3 unknown")
    (found,) = find_mismatches(archived)
    assert "has no row" in found


def test_stale_snapshot_is_found(archived: DataFolder) -> None:
    log(archived, attempt("f1", 5))
    assert [found for found in find_mismatches(archived) if "behind the lake" in found]


# --- export


def test_export_passes_sha256sum_until_a_file_changes(archived: DataFolder, tmp_path: Path) -> None:
    target = tmp_path / "case"
    extract = export(archived, MARCH, target)
    assert extract.rows == {"usage": 5, "recordings": 1, "messages": 4}
    assert (extract.files, extract.missing) == (1, 2)
    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", MANIFEST], cwd=target, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count(": OK") == 7
    assert all(path.stat().st_mode & 0o077 == 0 for path in [target, *target.rglob("*")])
    (target / "usage.csv").write_text("forged")
    assert subprocess.run(["sha256sum", "-c", MANIFEST], cwd=target, capture_output=True, check=False).returncode


def test_export_is_filtered_by_user_counterparty_and_date(archived: DataFolder, tmp_path: Path) -> None:
    chosen = Selection(since=MARCH.since, until=MARCH.until, user="t2@x.example", counterparty="+14081231234")
    assert export(archived, chosen, tmp_path / "case").rows == {"usage": 1, "recordings": 0, "messages": 1}
    later = Selection(since=MARCH.until, until=MARCH.until + timedelta(days=1))
    assert export(archived, later, tmp_path / "none").rows == {"usage": 0, "recordings": 0, "messages": 0}


def test_export_writes_times_with_the_offset_of_the_time_zone(archived: DataFolder, tmp_path: Path) -> None:
    export(archived, MARCH, tmp_path / "utc")
    export(archived, MARCH, tmp_path / "local", time_zone="America/New_York")
    times = {}
    for name in ("utc", "local"):
        with (tmp_path / name / "usage.csv").open(newline="") as file:
            in_csv = [row["started_at"] for row in csv.DictReader(file)]
        lines = (tmp_path / name / "usage.jsonl").read_text().splitlines()
        assert [json.loads(line)["started_at"] for line in lines] == in_csv
        times[name] = in_csv
    assert {time[-6:] for time in times["utc"]} == {"+00:00"}
    assert {time[-6:] for time in times["local"]} == {"-04:00"}
    utc, local = ([datetime.fromisoformat(time) for time in times[name]] for name in ("utc", "local"))
    assert utc == local


def test_export_fails_if_a_file_is_damaged_or_missing_or_the_target_exists(
    archived: DataFolder, tmp_path: Path
) -> None:
    find_file(archived).write_bytes(b"ID3 forged!")
    with pytest.raises(ExportFailed, match="damaged"):
        export(archived, MARCH, tmp_path / "case")
    find_file(archived).unlink()
    with pytest.raises(ExportFailed, match="missing"):
        export(archived, MARCH, tmp_path / "case")
    assert not (tmp_path / "case").exists()
    (tmp_path / "existing").mkdir()
    with pytest.raises(ExportFailed, match="exists already"):
        export(archived, MARCH, tmp_path / "existing")


def test_export_fails_before_the_first_publish(tmp_path: Path) -> None:
    with pytest.raises(NothingPublished):
        export(create_folder(tmp_path), MARCH, tmp_path / "case")
