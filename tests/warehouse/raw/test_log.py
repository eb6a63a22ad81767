"""The raw log: verbatim responses, shared bodies, damaged files and callbacks."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.raw_responses import WINDOW, at, call, create_folder, response, save
from warehouse.errors import RawDamaged
from warehouse.raw.log import RawLog, RawResponse
from warehouse.storage.paths import DataFolder


@pytest.fixture
def log(tmp_path: Path) -> RawLog:
    return RawLog(create_folder(tmp_path), "default", "usage")


def read(log: RawLog) -> list[RawResponse]:
    return [entry for _, entry in log.read(WINDOW, log.names(WINDOW))]


def test_a_response_is_read_back_verbatim(log: RawLog) -> None:
    body = '[ {"recordId": "a",  "x":"\\ud800" , "é":"\u202e"} ]'.encode()
    original = replace(response([1], 1), body=body)
    log.append(WINDOW, original)
    (stored,) = read(log)
    assert (stored.body, stored.body_bytes) == (body, len(body))
    assert replace(stored, body_bytes=None, body_sha256=None) == original


def test_responses_are_ordered_by_time(log: RawLog) -> None:
    for hours in (30, 1, 12.5):
        log.append(WINDOW, response([call()], hours))
    assert [entry.pulled_at for entry in read(log)] == [at(1), at(12.5), at(30)]


def test_append_once_stores_a_name_only_once(log: RawLog) -> None:
    assert log.append_once(WINDOW, response([call()], 1), "one")
    assert not log.append_once(WINDOW, response([call("other")], 2), "one")
    assert [entry.pulled_at for entry in read(log)] == [at(1)]


def test_repr_contains_no_body() -> None:
    assert "+14081231234" not in repr(response([call()], 1))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 500])
def test_a_damaged_file_is_reported_with_its_path_and_the_fix(log: RawLog, content: bytes) -> None:
    key = log.append(WINDOW, response([call()], 1))
    path = log.folder.root / key
    path.write_bytes(content)
    with pytest.raises(RawDamaged, match="sync its window again") as caught:
        read(log)
    assert caught.value.key == key
    assert str(path) in str(caught.value)


def test_a_response_after_a_damaged_file_is_stored_with_its_body(log: RawLog) -> None:
    (log.folder.root / log.append(WINDOW, response([call()], 1))).write_bytes(b"damaged")
    path = log.folder.root / log.append(WINDOW, response([call()], 2))
    ((_, stored),) = log.read(WINDOW, [path.name])
    assert stored.body is not None


def test_a_response_whose_shared_body_was_removed_is_incomplete(log: RawLog) -> None:
    first = log.append(WINDOW, response([call()], 1))
    log.append(WINDOW, response([call()], 2))
    (log.folder.root / first).unlink()
    assert [(entry.body, entry.complete) for entry in read(log)] == [(None, False)]
    log.append(WINDOW, response([call()], 3))
    assert [(entry.body is not None, entry.complete) for entry in read(log)] == [(True, True), (True, True)]


def test_a_refused_request_has_no_body(log: RawLog) -> None:
    log.append(WINDOW, replace(response([], 1, complete=False), rows=None, body=None))
    assert [(entry.rows, entry.body, entry.body_sha256) for entry in read(log)] == [(None, None, None)]


def test_a_callback_is_stored_without_reading_earlier_ones(tmp_path: Path) -> None:
    """A busy day has thousands of callbacks; reading all earlier ones for each would take hours."""
    folder: DataFolder = create_folder(tmp_path)
    log = RawLog(folder, "default", "usage_callbacks")
    (folder.root / log.append(WINDOW, response([call()], 1, reason="callback"))).write_bytes(b"not to be read")
    save(folder, response([call()], 1, reason="callback"), dataset="usage_callbacks")
    (name,) = [
        name
        for name in log.names(WINDOW)
        if (folder.root / log.folder.raw_folder(log.dataset, "default", WINDOW) / name).stat().st_size > 100
    ]
    ((_, stored),) = log.read(WINDOW, [name])
    assert stored.is_callback
    assert stored.body is not None
