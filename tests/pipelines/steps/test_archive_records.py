"""Records that iPlum refuses or has no file for, without sockets."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from iplum_resource.errors import Forbidden, IPlumError, MediaNotReady, Unauthorized
from pipelines.steps.archive_records import ArchiveOutcome, RecordArchiver
from tests.support.raw_responses import WINDOW, at, call, create_folder, fold, response, rows_of
from warehouse.schema.tables import CONTENTS
from warehouse.storage.paths import DataFolder

REQUEST = "POST /usage/getcontent"


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = create_folder(tmp_path)
    texts = [call(f"text-{number:03}", usage="text") for number in range(60)]
    fold(folder, response([*texts, call("fax-1", usage="fax"), call("call-1")], 1))
    return folder


def archive(
    folder: DataFolder, fail: Callable[[str], IPlumError | None], *, concurrency: int = 1
) -> tuple[list[ArchiveOutcome], Counter[str]]:
    """Archive the window; return the outcomes and how often each record was requested."""
    requested: Counter[str] = Counter()

    def fetch(record_id: str, sha256: str | None = None, *, is_file: bool = False) -> str:
        assert sha256 is None
        assert is_file == record_id.startswith("fax")
        requested[record_id] += 1
        error = fail(record_id)
        if error is not None:
            time.sleep(0.01)  # a request takes time, so that threads do not run ahead
            raise error
        return f"text of {record_id}"

    archiver = RecordArchiver(
        folder=folder,
        account="default",
        table=CONTENTS,
        fetch=fetch,
        concurrency=concurrency,
        clock=lambda: at(2),
        on_attempt=lambda _size: None,
    )
    return list(archiver.archive(archiver.list_backlog([WINDOW]))), requested


@pytest.mark.parametrize("refused", [{"fax-1", "text-000"}, {f"text-{number:03}" for number in range(5, 60)}])
def test_a_record_with_403_does_not_stop_the_archive(folder: DataFolder, refused: set[str]) -> None:
    (outcome,), requested = archive(folder, lambda record_id: Forbidden(REQUEST) if record_id in refused else None)
    assert (outcome.refused, outcome.error) == (False, None)
    assert len(requested) == 61
    rows = rows_of(folder, table=CONTENTS)
    assert set(rows.index[rows["status"] == "failed"]) == refused
    assert set(rows.loc[rows["status"] == "failed", "error"]) == {str(Forbidden(REQUEST))}
    assert (rows["status"] == "verified").sum() == 61 - len(refused)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_right_that_is_refused_for_the_first_records_stops_the_archive(folder: DataFolder, concurrency: int) -> None:
    (outcome,), requested = archive(folder, lambda _: Forbidden(REQUEST), concurrency=concurrency)
    assert (outcome.refused, outcome.error, outcome.statuses) == (True, None, {})
    assert 20 <= requested.total() <= 20 + 2 * concurrency
    assert folder.raw_names("contents", "default", WINDOW) == [], "the records are not attempted once it is granted"


def test_a_rejected_key_stops_the_archive_at_the_first_record(folder: DataFolder) -> None:
    (outcome,), requested = archive(folder, lambda _: Unauthorized(REQUEST))
    assert isinstance(outcome.error, Unauthorized)
    assert requested.total() == 1


def test_a_fax_without_a_file_is_pending(folder: DataFolder) -> None:
    archive(folder, lambda record_id: MediaNotReady(REQUEST) if record_id == "fax-1" else None)
    rows = rows_of(folder, table=CONTENTS)
    assert dict(rows["status"].value_counts()) == {"verified": 60, "pending": 1}
    assert rows.loc["fax-1", "status"] == "pending"
