"""Windows that retention deletes while a sync or an archive run works on them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from iplum_resource.http.responses import WindowResponse
from iplum_resource.window import Window
from pipelines.steps.archive_records import RecordArchiver
from pipelines.steps.pull_windows import DatasetLoader
from tests.support.raw_responses import WINDOW, at, call, create_folder, fold, response, rows_of
from warehouse.errors import WindowDeleted
from warehouse.raw.deletion_log import DeletionRecord, save_deletion_record
from warehouse.schema.tables import CONTENTS, USAGE
from warehouse.storage.paths import DataFolder


def mark_deleted(folder: DataFolder) -> None:
    """Save a deletion record as retention does before it deletes anything."""
    save_deletion_record(
        folder,
        DeletionRecord(
            account="default", before=WINDOW.next().key, older_than_days=1, began_at=WINDOW.end + timedelta(days=1)
        ),
    )


def test_a_response_for_a_deleted_window_is_not_stored(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)

    def fetch(window: Window) -> WindowResponse:
        mark_deleted(folder)
        now = datetime.now(UTC)
        return WindowResponse(window, None, json.dumps([call()]).encode(), 1, now, now)

    loader = DatasetLoader(
        folder=folder,
        account="default",
        table=USAGE,
        fetch=fetch,
        fetch_once=fetch,
        concurrency=1,
        verify="off",
        clock=lambda: datetime.now(UTC),
    )
    (outcome,) = loader.load([WINDOW])
    assert isinstance(outcome.error, WindowDeleted)
    assert outcome.fold is None
    assert folder.raw_names("usage", "default", WINDOW) == []
    assert folder.lake_windows("usage", "default") == []


def test_a_download_for_a_deleted_record_is_not_stored(tmp_path: Path) -> None:
    """Retention deletes one of two texts while both are downloaded; the other one is held."""
    folder = create_folder(tmp_path)
    fold(folder, response([call("deleted", usage="text"), call("held", usage="text")], 1))
    windows = [WINDOW]

    def fetch(record_id: str, sha256: str | None = None, *, is_file: bool = False) -> str:  # noqa: ARG001
        for name in folder.raw_names("usage", "default", WINDOW):
            folder.store.remove(f"{folder.raw_folder('usage', 'default', WINDOW)}/{name}")
        fold(folder, response([call("held", usage="text")], 1))
        mark_deleted(folder)
        return f"text of {record_id}"

    archiver = RecordArchiver(
        folder=folder,
        account="default",
        table=CONTENTS,
        fetch=fetch,
        concurrency=1,
        clock=lambda: at(2),
        on_attempt=lambda _size: None,
    )
    backlog = archiver.list_backlog(windows)
    assert sorted(backlog[WINDOW]) == ["deleted", "held"]
    (outcome,) = archiver.archive(backlog)
    assert outcome.error is None
    assert list(rows_of(folder, table=CONTENTS)["body"]) == ["text of held"]
