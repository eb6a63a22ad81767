"""The raw log: responses are stored verbatim, and damage is never read as data."""

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
    return [one for _, one in log.read(WINDOW, log.names(WINDOW))]


def test_an_answer_is_read_back_as_it_came(log: RawLog) -> None:
    body = '[ {"recordId": "a",  "x":"\\ud800" , "é":"\u202e"} ]'.encode()
    sent = replace(response([1], 1), body=body)
    log.append(WINDOW, sent)
    (kept,) = read(log)
    assert (kept.body, kept.body_bytes) == (body, len(body))
    assert replace(kept, body_bytes=None, body_sha256=None) == sent


def test_names_sort_by_the_time_of_the_pull(log: RawLog) -> None:
    for hours in (30, 1, 12.5):
        log.append(WINDOW, response([call()], hours))
    assert [one.pulled_at for one in read(log)] == [at(1), at(12.5), at(30)]


def test_a_name_is_filed_once(log: RawLog) -> None:
    assert log.append_once(WINDOW, response([call()], 1), "one")
    assert not log.append_once(WINDOW, response([call("other")], 2), "one")
    assert [one.pulled_at for one in read(log)] == [at(1)]


def test_a_repr_holds_no_body() -> None:
    assert "+14081231234" not in repr(response([call()], 1))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 500])
def test_a_damaged_file_is_named_with_the_remedy(log: RawLog, content: bytes) -> None:
    key = log.append(WINDOW, response([call()], 1))
    path = log.folder.root / key
    path.write_bytes(content)
    with pytest.raises(RawDamaged, match="sync its window again") as caught:
        read(log)
    assert caught.value.key == key
    assert str(path) in str(caught.value)


def test_what_comes_in_beside_a_damaged_file_is_kept_whole(log: RawLog) -> None:
    (log.folder.root / log.append(WINDOW, response([call()], 1))).write_bytes(b"torn")
    path = log.folder.root / log.append(WINDOW, response([call()], 2))
    ((_, kept),) = log.read(WINDOW, [path.name])
    assert kept.body is not None


def test_an_answer_whose_body_was_taken_away_is_no_longer_complete(log: RawLog) -> None:
    first = log.append(WINDOW, response([call()], 1))
    log.append(WINDOW, response([call()], 2))
    (log.folder.root / first).unlink()
    assert [(one.body, one.complete) for one in read(log)] == [(None, False)]
    log.append(WINDOW, response([call()], 3))
    assert [(one.body is not None, one.complete) for one in read(log)] == [(True, True), (True, True)]


def test_a_refusal_has_no_body_and_misses_none(log: RawLog) -> None:
    log.append(WINDOW, replace(response([], 1, complete=False), rows=None, body=None))
    assert [(one.rows, one.body, one.body_sha256) for one in read(log)] == [(None, None, None)]


def test_a_callback_is_filed_without_looking_at_those_before(tmp_path: Path) -> None:
    """A busy day has thousands: each looking through all before it would take hours."""
    folder: DataFolder = create_folder(tmp_path)
    log = RawLog(folder, "default", "usage_callbacks")
    (folder.root / log.append(WINDOW, response([call()], 1, reason="callback"))).write_bytes(b"not to be read")
    save(folder, response([call()], 1, reason="callback"), dataset="usage_callbacks")
    (name,) = [
        name
        for name in log.names(WINDOW)
        if (folder.root / log.folder.raw_folder(log.dataset, "default", WINDOW) / name).stat().st_size > 100
    ]
    ((_, kept),) = log.read(WINDOW, [name])
    assert kept.is_callback
    assert kept.body is not None
