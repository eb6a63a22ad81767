"""Deletion records that iplum did not write: none stops a sync silently or deletes outside the data folder."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.raw_responses import call, create_folder, fold, response
from warehouse.errors import RecordUnreadable, StorageFailed
from warehouse.raw.deletion_log import (
    DeletionRecord,
    find_first_kept_window,
    is_deleted,
    load_deletion_records,
    save_deletion_record,
)
from warehouse.retention.deletion import Retention
from warehouse.storage.local import LocalStore
from warehouse.storage.paths import DataFolder
from warehouse.windows import window_of_key

OLD, FIRST_KEPT = window_of_key("2023-03-16"), window_of_key("2023-03-21")
BEGAN_AT = FIRST_KEPT.start + timedelta(days=12)
DIGEST = "ab" * 32
NAME = "20230402T000000.000000Z-before-2023-03-21.json"
VICTIM = "victim"


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = create_folder(tmp_path)
    fold(folder, response([call("a", "2023-03-16T00:00:00Z")], 1, window=OLD), window=OLD)
    (folder.root.parent / VICTIM).write_text("a file of the user")
    return folder


def write_record(folder: DataFolder, name: str = NAME, **changes: Any) -> Path:
    """Save an unfinished record, with some fields changed afterwards."""
    record = DeletionRecord(account="default", before=FIRST_KEPT.key, older_than_days=10, began_at=BEGAN_AT)
    save_deletion_record(folder, record)
    path = folder.root / folder.retention_folder("default") / NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path.rename(path.with_name(name))


def carry_out_all(folder: DataFolder) -> None:
    for record in load_deletion_records(folder, "default"):
        Retention(folder, "default").carry_out(record)


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "x-before-2099-01-01.json",
        f"{NAME} copy",
        NAME.replace(".json", " (1).json"),
        "-before-",
        ".DS_Store",
    ],
)
def test_files_with_other_names_are_no_records(folder: DataFolder, name: str) -> None:
    write_record(folder, name).write_bytes(b"")
    assert find_first_kept_window(folder, "default") is None
    assert load_deletion_records(folder, "default") == []


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"account": "default"}']
)
def test_an_empty_or_damaged_record_is_an_error_that_names_it(folder: DataFolder, content: bytes) -> None:
    path = write_record(folder)
    path.write_bytes(content)
    for read in (find_first_kept_window, load_deletion_records):
        with pytest.raises(RecordUnreadable, match=f"{NAME}.*restore it|{NAME}.*Restore it"):
            read(folder, "default")
    with pytest.raises(RecordUnreadable, match=NAME):
        is_deleted(folder, "default", OLD)


@pytest.mark.parametrize(
    "changes",
    [
        {"account": "other"},
        {"account": "../../.."},
        {"before": "2023-03-26"},
        {"before": "../../victim"},
        {"older_than_days": 5},
        {"older_than_days": -1},
        {"older_than_days": 10**30},
        {"older_than_days": "10"},
        {"began_at": "2023-04-02T00:00:01+00:00"},
        {"began_at": "9999-12-31T23:59:59-12:00"},
        {"began_at": None},
        {"windows": {"2023-03-26": {"rows": {}, "held": {}, "raw": []}}},
        {"windows": {"../../victim": {"rows": {}, "held": {}, "raw": []}}},
        {"windows": ["2023-03-16"]},
        {"windows": {"2023-03-16": {"rows": 1, "held": {}, "raw": []}}},
        {"files": [{"path": f"../{VICTIM}", "sha256": DIGEST, "bytes": 1}]},
        {"files": [{"path": f"media/ab/../../../{VICTIM}", "sha256": DIGEST, "bytes": 1}]},
        {"files": [{"path": f"media/ab/{DIGEST}./../../../{VICTIM}", "sha256": DIGEST, "bytes": 1}]},
        {"files": [{"path": "warehouse.duckdb", "sha256": DIGEST, "bytes": 1}]},
        {"files": [{"path": f"/media/ab/{DIGEST}.mp3", "sha256": DIGEST, "bytes": 1}]},
        {"files": [{"path": None, "sha256": None, "bytes": 1}]},
        {"files": ["x"]},
        {"unknown": 1},
    ],
)
def test_an_invented_record_is_refused_and_deletes_nothing(folder: DataFolder, changes: dict[str, Any]) -> None:
    write_record(folder, **changes)
    before = {path for path in folder.root.rglob("*") if path.is_file()}
    with pytest.raises(RecordUnreadable, match=NAME):
        carry_out_all(folder)
    assert {path for path in folder.root.rglob("*") if path.is_file()} == before
    assert (folder.root.parent / VICTIM).exists()


@pytest.mark.parametrize("key", [f"../{VICTIM}", f"media/../../{VICTIM}", "/etc/hosts", "a\0b", ".."])
def test_the_store_refuses_keys_that_lead_out_of_its_folder(folder: DataFolder, key: str) -> None:
    store = folder.store
    assert isinstance(store, LocalStore)
    for use in (store.remove, store.exists, store.locate, store.list_names, lambda key: list(store.read_chunks(key))):
        with pytest.raises(StorageFailed, match="it leads out of the folder"):
            use(key)
    with pytest.raises(StorageFailed, match="it leads out of the folder"):
        store.write(key, b"")
    assert (folder.root.parent / VICTIM).read_text() == "a file of the user"
