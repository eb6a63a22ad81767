"""Damaged files: raw files are reported, lake files and snapshots are rebuilt."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.raw_responses import WINDOW, call, create_folder, fold, response, save
from warehouse.checks.verification import Verification
from warehouse.errors import PublishedInPart, RawDamaged
from warehouse.lake.files import read_fingerprint, read_rows, read_state
from warehouse.lake.fold import fold_window
from warehouse.outputs.query import run_query
from warehouse.raw.log import RawLog
from warehouse.schema.tables import USAGE
from warehouse.snapshot.database import open_snapshot
from warehouse.snapshot.publish import is_stale, publish
from warehouse.storage.paths import DataFolder

OTHER = WINDOW.next()


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """Return a folder with two published windows."""
    folder = create_folder(tmp_path)
    fold(folder, response([call("a"), call("b")], 1))
    fold(folder, response([call("c", "2023-03-27T00:00:00Z")], 1, window=OTHER), window=OTHER)
    publish(folder)
    return folder


def query(folder: DataFolder, sql: str) -> list[tuple[Any, ...]]:
    with open_snapshot(folder.snapshot) as connection:
        return connection.execute(sql).fetchall()


def ids(folder: DataFolder) -> list[str]:
    return [record_id for (record_id,) in query(folder, "SELECT record_id FROM usage ORDER BY 1")]


def raw_file(folder: DataFolder, number: int = 0) -> Path:
    return folder.root / folder.raw_files("usage", "default", WINDOW)[number]


def damage(path: Path, *, at: float = 0.5) -> None:
    """Invert 16 bytes at a relative position, as a bad sector does."""
    content = bytearray(path.read_bytes())
    start = int(len(content) * at)
    content[start : start + 16] = bytes(255 - byte for byte in content[start : start + 16])
    path.write_bytes(content)


# --- damaged raw files


def test_a_damaged_raw_file_delays_only_its_own_window(folder: DataFolder) -> None:
    save(folder, response([call("late")], 2))
    damage(raw_file(folder, 1), at=0)
    fold(folder, response([call("d", "2023-03-28T00:00:00Z")], 2, window=OTHER), window=OTHER)
    with pytest.raises(PublishedInPart, match="1 raw file is damaged") as caught:
        publish(folder)
    assert caught.value.damaged == (str(raw_file(folder, 1)),)
    assert ids(folder) == ["a", "b", "c", "d"], "the window keeps its published rows, the other is up to date"
    assert query(folder, "SELECT count(*) FROM pulls") == [(3,)]
    assert is_stale(folder), "the window is published once the file is restored"


def test_a_full_publish_with_a_damaged_raw_file_keeps_the_rows_of_the_lake_file(folder: DataFolder) -> None:
    damage(raw_file(folder), at=0)
    with pytest.raises(PublishedInPart):
        publish(folder, full=True)
    assert ids(folder) == ["a", "b", "c"]
    assert query(folder, "SELECT window_start::VARCHAR FROM pulls") == [(OTHER.key,)]


def test_a_raw_file_restored_from_a_backup_is_published(folder: DataFolder, tmp_path: Path) -> None:
    save(folder, response([call("late")], 2))
    backup = tmp_path / "backup"
    shutil.copyfile(raw_file(folder, 1), backup)
    damage(raw_file(folder, 1), at=0)
    with pytest.raises(PublishedInPart):
        publish(folder)
    shutil.copyfile(backup, raw_file(folder, 1))
    publish(folder)
    assert ids(folder) == ["a", "b", "c", "late"]
    assert not is_stale(folder)


def test_removing_a_damaged_file_and_syncing_again_restores_its_rows(folder: DataFolder) -> None:
    """This is the fix that the error message names. Later responses refer to the body in the removed file."""
    records = [call("a"), call("b")]
    fold(folder, response(records, 2))
    raw_file(folder).unlink()
    state = fold_window(folder, USAGE, "default", WINDOW).state
    assert state.complete_at is None, "a response without its body is incomplete, so the window is due"
    fold(folder, response(records, 3))
    publish(folder)
    assert ids(folder) == ["a", "b", "c"]
    assert query(folder, "SELECT count(*) FROM usage WHERE absent_since IS NOT NULL") == [(0,)]


def test_flipped_bits_are_detected(folder: DataFolder) -> None:
    log = RawLog(folder, "default", "usage")
    path = folder.root / log.append(
        WINDOW, response([call(str(n), **{"from": f"+1408{n:07d}"}) for n in range(200)], 2)
    )
    content = path.read_bytes()
    ((_, original),) = log.read(WINDOW, [path.name])
    randomness = random.Random(5)
    detected = 0
    for _ in range(300):
        # Inside the pages: the footer after them has bits that no reader checks.
        position = randomness.randrange(4, len(content) - 1500)
        flipped = content[position] ^ 1 << randomness.randrange(8)
        path.write_bytes(content[:position] + bytes([flipped]) + content[position + 1 :])
        try:
            ((_, read),) = log.read(WINDOW, [path.name])
        except RawDamaged:
            detected += 1
        else:
            assert read.body == original.body or not read.complete
    assert detected > 250


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_verification_reports_a_truncated_raw_file_until_it_is_restored(folder: DataFolder, share: float) -> None:
    """A full disk or an interrupted copy truncates a file. The pipeline itself renames complete files into place."""
    content = raw_file(folder).read_bytes()
    raw_file(folder).write_bytes(content[: int(len(content) * share)])
    (mismatch,) = [str(found) for found in Verification(folder=folder).find_mismatches()]
    assert str(raw_file(folder)) in mismatch
    assert "Restore it from a backup" in mismatch
    with pytest.raises(PublishedInPart):
        publish(folder, full=True)
    assert ids(folder) == ["a", "b", "c"]
    raw_file(folder).write_bytes(content)
    publish(folder)
    assert list(Verification(folder=folder).find_mismatches()) == []


# --- damaged lake files and snapshots


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_verification_reports_a_truncated_lake_file_until_it_is_folded_again(folder: DataFolder, share: float) -> None:
    path = folder.root / folder.lake_file("usage", "default", WINDOW)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert list(Verification(folder=folder).find_mismatches()) != []
    publish(folder)
    assert path.read_bytes() == content
    assert ids(folder) == ["a", "b", "c"]
    assert list(Verification(folder=folder).find_mismatches()) == []


def test_verification_finds_rows_removed_or_changed_by_hand(folder: DataFolder) -> None:
    """The metadata still says that the window is folded and published."""
    path = folder.root / folder.lake_file("usage", "default", WINDOW)
    written = path.stat()
    content = pq.ParquetFile(path).read()
    pq.write_table(content.slice(1), path)
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))
    mismatches = [str(found) for found in Verification(folder=folder).find_mismatches()]
    assert [found for found in mismatches if "differs from its raw log" in found]
    assert [found for found in mismatches if "1 rows of usage" in found]
    path.unlink()
    publish(folder)
    with duckdb.connect(str(folder.snapshot)) as connection:
        connection.execute("UPDATE usage SET credits = 99 WHERE record_id = 'c'")
    (mismatch,) = [str(found) for found in Verification(folder=folder).find_mismatches()]
    assert f"2 rows of usage default {OTHER.key} differ from the lake" in mismatch
    publish(folder, full=True)
    assert list(Verification(folder=folder).find_mismatches()) == []


@pytest.mark.parametrize("at", [0, 0.2, 0.5, 0.97])
def test_a_damaged_lake_file_is_folded_again(folder: DataFolder, at: float) -> None:
    damage(folder.root / folder.lake_file("usage", "default", WINDOW), at=at)
    publish(folder, full=True)
    assert ids(folder) == ["a", "b", "c"]
    assert len(query(folder, "SELECT * FROM usage")) == 3


def test_a_lake_file_with_unknown_metadata_is_folded_again(folder: DataFolder) -> None:
    path = folder.root / folder.lake_file("usage", "default", WINDOW)
    content = pq.ParquetFile(path).read()
    for state in (b'{"version": "0"}', b"[]", b"\xff"):
        pq.write_table(content.replace_schema_metadata({b"iplum.window_state": state}), path)
        assert read_state(folder, USAGE, "default", WINDOW) is None
        assert publish(folder).refolded == 1
    pq.write_table(pa.table({"record_id": ["a"]}), path)
    assert read_rows(folder, USAGE, "default", WINDOW) is None
    publish(folder)
    assert ids(folder) == ["a", "b", "c"]


@pytest.mark.parametrize("at", [0.02, 0.2, 0.4, 0.6, 0.8, 0.98])
def test_a_snapshot_with_a_damaged_block_is_repaired_or_rebuilt(folder: DataFolder, at: float) -> None:
    with folder.snapshot.open("r+b") as file:
        file.seek(int(folder.snapshot.stat().st_size * at))
        file.write(b"\xa5" * 4096)
    fold(folder, response([call("a"), call("b", duration="9")], 2))
    publish(folder)
    assert len(query(folder, "SELECT * FROM usage")) == 3
    assert ids(folder) == ["a", "b", "c"]


@pytest.mark.parametrize("change", [shutil.rmtree, lambda path: path.rename(path.with_name("elsewhere"))])
def test_a_window_without_a_lake_file_is_folded_again(folder: DataFolder, change: Callable[[Path], None]) -> None:
    change((folder.root / folder.lake_file("usage", "default", WINDOW)).parent)
    assert publish(folder).refolded == 1
    assert ids(folder) == ["a", "b", "c"]


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
def test_a_truncated_lake_file_is_folded_again_by_the_next_publish(folder: DataFolder, share: float) -> None:
    path = folder.root / folder.lake_file("usage", "default", WINDOW)
    os.truncate(path, int(path.stat().st_size * share))
    assert publish(folder).refolded == 1
    assert ids(folder) == ["a", "b", "c"]
    assert read_rows(folder, USAGE, "default", WINDOW) is not None


@pytest.mark.parametrize("share", [None, 0, 0.1, 0.5, 0.999])
def test_a_missing_or_truncated_snapshot_is_rebuilt(folder: DataFolder, share: float | None) -> None:
    if share is None:
        folder.snapshot.unlink()
    else:
        os.truncate(folder.snapshot, int(folder.snapshot.stat().st_size * share))
    assert is_stale(folder)
    publish(folder)
    assert ids(folder) == ["a", "b", "c"]
    assert not is_stale(folder)


@pytest.mark.parametrize("share", [0, 0.5, 0.999])
def test_a_full_publish_reports_a_truncated_raw_file_and_keeps_its_rows(folder: DataFolder, share: float) -> None:
    path = raw_file(folder)
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(PublishedInPart) as caught:
        publish(folder, full=True)
    assert caught.value.damaged == (str(path),)
    assert ids(folder) == ["a", "b", "c"]


# --- publishing during folds and reads


def test_a_lake_file_that_was_rewritten_is_published_again(folder: DataFolder) -> None:
    """A slow fold can put an older file in place for a moment, and a publish may read it at that time."""
    before = read_fingerprint(folder, USAGE, "default", WINDOW)
    fold_window(folder, USAGE, "default", WINDOW)
    assert read_fingerprint(folder, USAGE, "default", WINDOW) != before
    assert is_stale(folder)
    assert publish(folder).replaced["usage"] == 1
    assert not is_stale(folder)


def test_publishing_uses_the_newest_snapshot_while_the_same_process_reads_an_older_one(folder: DataFolder) -> None:
    """DuckDB reuses a database that the process has open under a path, even if the file was replaced."""
    third = OTHER.next()
    with open_snapshot(folder.snapshot) as reader, duckdb.connect(str(folder.snapshot), read_only=True) as other:
        fold(folder, response([call("e", "2023-03-31T00:00:00Z")], 2, window=third), window=third)
        publish(folder)
        assert ids(folder) == ["a", "b", "c", "e"]
        for kind in ("raw", "lake"):
            shutil.rmtree(folder.root / kind / "usage" / "account=default" / f"window_start={third.key}")
        publish(folder)
        assert ids(folder) == ["a", "b", "c"]
        for connection in (reader, other):
            assert connection.execute("SELECT count(*) FROM usage").fetchall() == [(3,)]


def test_a_damaged_raw_file_does_not_hold_up_linked_windows(tmp_path: Path) -> None:
    """A record moved from one window to the next; the first one's raw file is damaged, and the next is pulled again."""
    folder = create_folder(tmp_path)
    after = WINDOW.next()
    fold(folder, response([call("a", "2023-03-25T23:59:58Z")], 1))
    fold(folder, response([call("a", "2023-03-26T00:00:03Z")], 2, window=after), window=after)
    publish(folder)
    (name,) = folder.raw_files("usage", "default", WINDOW)
    intact = (folder.root / name).read_bytes()
    (folder.root / name).write_bytes(b"xx")
    records = [call("a", "2023-03-26T00:00:03Z"), call("new", "2023-03-26T10:00:00Z")]
    save(folder, response(records, 3, window=after), window=after)
    for full in (False, True):
        with pytest.raises(PublishedInPart):
            publish(folder, full=full)
        assert list(run_query(folder, "SELECT count(*) FROM usage WHERE record_id = 'new'").rows) == [(1,)]
    (folder.root / name).write_bytes(intact)
    publish(folder)
    assert list(run_query(folder, "SELECT record_id FROM usage ORDER BY 1").rows) == [("a",), ("new",)]
