"""Damaged files: the rest is published, rebuildable files are rebuilt, and other damage is reported."""

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
from warehouse.raw.log import RawLog
from warehouse.schema.tables import USAGE
from warehouse.snapshot.database import open_snapshot
from warehouse.snapshot.publish import is_stale, publish
from warehouse.storage.paths import DataFolder

OTHER = WINDOW.next()


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """Two windows, published."""
    folder = create_folder(tmp_path)
    fold(folder, response([call("a"), call("b")], 1))
    fold(folder, response([call("c", "2023-03-27T00:00:00Z")], 1, window=OTHER), window=OTHER)
    publish(folder)
    return folder


def ask(folder: DataFolder, sql: str) -> list[tuple[Any, ...]]:
    with open_snapshot(folder.snapshot) as connection:
        return connection.execute(sql).fetchall()


def ids(folder: DataFolder) -> list[str]:
    return [record_id for (record_id,) in ask(folder, "SELECT record_id FROM usage ORDER BY 1")]


def raw_file(folder: DataFolder, number: int = 0) -> Path:
    return folder.root / folder.raw_files("usage", "default", WINDOW)[number]


def spoil(path: Path, *, at: float = 0.5) -> None:
    """Turn over the bits of a few bytes, as a bad sector or cable does."""
    content = bytearray(path.read_bytes())
    place = int(len(content) * at)
    content[place : place + 16] = bytes(255 - byte for byte in content[place : place + 16])
    path.write_bytes(content)


# --- the raw log: nothing can replace it


def test_a_damaged_raw_file_keeps_back_its_own_window_alone(folder: DataFolder) -> None:
    save(folder, response([call("late")], 2))
    spoil(raw_file(folder, 1), at=0)
    fold(folder, response([call("d", "2023-03-28T00:00:00Z")], 2, window=OTHER), window=OTHER)
    with pytest.raises(PublishedInPart, match="1 raw file is damaged") as caught:
        publish(folder)
    assert caught.value.damaged == (str(raw_file(folder, 1)),)
    assert ids(folder) == ["a", "b", "c", "d"], "the window has the rows it had, the others are up to date"
    assert ask(folder, "SELECT count(*) FROM pulls") == [(3,)]
    assert is_stale(folder), "it is not forgotten"


def test_a_rebuild_beside_a_damaged_raw_file_keeps_the_last_good_rows(folder: DataFolder) -> None:
    spoil(raw_file(folder), at=0)
    with pytest.raises(PublishedInPart):
        publish(folder, full=True)
    assert ids(folder) == ["a", "b", "c"]
    assert ask(folder, "SELECT window_start::VARCHAR FROM pulls") == [(OTHER.key,)]


def test_a_raw_file_restored_from_a_backup_makes_all_good(folder: DataFolder, tmp_path: Path) -> None:
    save(folder, response([call("late")], 2))
    backup = tmp_path / "backup"
    shutil.copyfile(raw_file(folder, 1), backup)
    spoil(raw_file(folder, 1), at=0)
    with pytest.raises(PublishedInPart):
        publish(folder)
    shutil.copyfile(backup, raw_file(folder, 1))
    publish(folder)
    assert ids(folder) == ["a", "b", "c", "late"]
    assert not is_stale(folder)


def test_moving_a_damaged_file_away_and_syncing_again_brings_its_rows_back(folder: DataFolder) -> None:
    """The remedy that the error names; later answers had referred to the body that the file held."""
    records = [call("a"), call("b")]
    fold(folder, response(records, 2))
    raw_file(folder).unlink()
    state = fold_window(folder, USAGE, "default", WINDOW).state
    assert state.complete_at is None, "an answer without its body proves nothing, so the window is due"
    fold(folder, response(records, 3))
    publish(folder)
    assert ids(folder) == ["a", "b", "c"]
    assert ask(folder, "SELECT count(*) FROM usage WHERE absent_since IS NOT NULL") == [(0,)]


def test_turned_over_bits_are_found_out(folder: DataFolder) -> None:
    log = RawLog(folder, "default", "usage")
    path = folder.root / log.append(
        WINDOW, response([call(str(n), **{"from": f"+1408{n:07d}"}) for n in range(200)], 2)
    )
    whole = path.read_bytes()
    ((_, good),) = log.read(WINDOW, [path.name])
    chance = random.Random(5)
    found_out = 0
    for _ in range(300):
        # inside the pages; the footer behind them has bits that no reader checks
        place = chance.randrange(4, len(whole) - 1500)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << chance.randrange(8)]) + whole[place + 1 :])
        try:
            ((_, read),) = log.read(WINDOW, [path.name])
        except RawDamaged:
            found_out += 1
        else:
            assert read.body == good.body or not read.complete
    assert found_out > 250


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_raw_file_is_named_and_restored_heals(folder: DataFolder, share: float) -> None:
    """A file as a full disk or an interrupted copy leaves it; the pipeline renames complete files into place."""
    whole = raw_file(folder).read_bytes()
    raw_file(folder).write_bytes(whole[: int(len(whole) * share)])
    (told,) = [str(one) for one in Verification(folder=folder).find_mismatches()]
    assert str(raw_file(folder)) in told
    assert "Restore it from a backup" in told
    with pytest.raises(PublishedInPart):
        publish(folder, full=True)
    assert ids(folder) == ["a", "b", "c"]
    raw_file(folder).write_bytes(whole)
    publish(folder)
    assert list(Verification(folder=folder).find_mismatches()) == []


# --- what can be made again


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_lake_file_is_made_again(folder: DataFolder, share: float) -> None:
    path = folder.root / folder.lake_file("usage", "default", WINDOW)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert list(Verification(folder=folder).find_mismatches()) != []
    publish(folder)
    assert path.read_bytes() == whole
    assert ids(folder) == ["a", "b", "c"]
    assert list(Verification(folder=folder).find_mismatches()) == []


def test_a_row_that_was_taken_out_or_changed_by_hand_is_found(folder: DataFolder) -> None:
    """With all notes as they were: the lake file says that it is folded, the snapshot that it is published."""
    path = folder.root / folder.lake_file("usage", "default", WINDOW)
    written = path.stat()
    content = pq.ParquetFile(path).read()
    pq.write_table(content.slice(1), path)
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))
    told = [str(one) for one in Verification(folder=folder).find_mismatches()]
    assert [one for one in told if "differs from its raw log" in one]
    assert [one for one in told if "1 rows of usage" in one]
    path.unlink()
    publish(folder)
    with duckdb.connect(str(folder.snapshot)) as connection:
        connection.execute("UPDATE usage SET credits = 99 WHERE record_id = 'c'")
    (forged,) = [str(one) for one in Verification(folder=folder).find_mismatches()]
    assert f"2 rows of usage default {OTHER.key} differ from the lake" in forged
    publish(folder, full=True)
    assert list(Verification(folder=folder).find_mismatches()) == []


@pytest.mark.parametrize("at", [0, 0.2, 0.5, 0.97])
def test_a_spoiled_lake_file_is_made_again(folder: DataFolder, at: float) -> None:
    spoil(folder.root / folder.lake_file("usage", "default", WINDOW), at=at)
    publish(folder, full=True)
    assert ids(folder) == ["a", "b", "c"]
    assert len(ask(folder, "SELECT * FROM usage")) == 3


def test_a_lake_file_of_another_version_of_this_code_is_made_again(folder: DataFolder) -> None:
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
def test_a_snapshot_with_a_spoiled_part_is_mended_or_rebuilt(folder: DataFolder, at: float) -> None:
    with folder.snapshot.open("r+b") as file:
        file.seek(int(folder.snapshot.stat().st_size * at))
        file.write(b"\xa5" * 4096)
    fold(folder, response([call("a"), call("b", duration="9")], 2))
    publish(folder)
    assert len(ask(folder, "SELECT * FROM usage")) == 3
    assert ids(folder) == ["a", "b", "c"]


@pytest.mark.parametrize("change", [shutil.rmtree, lambda path: path.rename(path.with_name("elsewhere"))])
def test_a_window_without_a_lake_file_is_folded_again(folder: DataFolder, change: Callable[[Path], None]) -> None:
    change((folder.root / folder.lake_file("usage", "default", WINDOW)).parent)
    assert publish(folder).refolded == 1
    assert ids(folder) == ["a", "b", "c"]


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
def test_a_torn_lake_file_is_made_again_by_the_next_publishing(folder: DataFolder, share: float) -> None:
    path = folder.root / folder.lake_file("usage", "default", WINDOW)
    os.truncate(path, int(path.stat().st_size * share))
    assert publish(folder).refolded == 1
    assert ids(folder) == ["a", "b", "c"]
    assert read_rows(folder, USAGE, "default", WINDOW) is not None


@pytest.mark.parametrize("share", [None, 0, 0.1, 0.5, 0.999])
def test_a_snapshot_that_is_gone_or_torn_is_rebuilt(folder: DataFolder, share: float | None) -> None:
    if share is None:
        folder.snapshot.unlink()
    else:
        os.truncate(folder.snapshot, int(folder.snapshot.stat().st_size * share))
    assert is_stale(folder)
    publish(folder)
    assert ids(folder) == ["a", "b", "c"]
    assert not is_stale(folder)


@pytest.mark.parametrize("share", [0, 0.5, 0.999])
def test_a_torn_raw_file_is_named_and_its_window_keeps_its_rows(folder: DataFolder, share: float) -> None:
    path = raw_file(folder)
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(PublishedInPart) as caught:
        publish(folder, full=True)
    assert caught.value.damaged == (str(path),)
    assert ids(folder) == ["a", "b", "c"]


# --- publishing during folds and reads


def test_a_lake_file_exchanged_for_an_older_one_and_back_is_published_again(folder: DataFolder) -> None:
    """A slow fold may put an older file in place for a moment, which a publisher may read just then."""
    before = read_fingerprint(folder, USAGE, "default", WINDOW)
    fold_window(folder, USAGE, "default", WINDOW)
    assert read_fingerprint(folder, USAGE, "default", WINDOW) != before
    assert is_stale(folder)
    assert publish(folder).replaced["usage"] == 1
    assert not is_stale(folder)


def test_publishing_beside_a_reader_of_the_same_process_goes_by_the_newest_snapshot(folder: DataFolder) -> None:
    """DuckDB hands out the database that the process has open under a path, although it was replaced there."""
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
