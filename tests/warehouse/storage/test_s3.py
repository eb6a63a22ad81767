"""A warehouse in a bucket of a real S3 server: the same rows, whole or not at all, and refusals in one line."""

import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.raw_responses import WINDOW, call, fold, response, rows_of, save
from tests.support.s3 import S3Server
from warehouse.archive.media_store import MediaStore
from warehouse.checks.verification import Verification
from warehouse.errors import NothingPublished, PublishedInPart, StorageFailed
from warehouse.lake.files import read_rows
from warehouse.lake.fold import is_up_to_date
from warehouse.outputs.query import run_query
from warehouse.raw.log import RawLog
from warehouse.schema.tables import USAGE
from warehouse.snapshot.pointer import fetch_snapshot, read_pointer, remove_superseded
from warehouse.snapshot.publish import is_stale, publish
from warehouse.storage.atomic_files import Modes
from warehouse.storage.paths import POINTER, SNAPSHOTS, DataFolder
from warehouse.storage.s3_config import Bucket, parse_bucket
from warehouse.windows import windows_between

OTHER = WINDOW.next()


@pytest.fixture
def bucket(s3_server: S3Server) -> Bucket:
    return s3_server.create_bucket()


@pytest.fixture
def folder(bucket: Bucket, tmp_path: Path) -> DataFolder:
    return machine(bucket, tmp_path / "one")


def machine(bucket: Bucket, state: Path) -> DataFolder:
    """Look at a bucket from a machine of its own."""
    return DataFolder.in_bucket(bucket, state, Modes())


def ids(folder: DataFolder) -> list[str]:
    return [row[0] for row in run_query(folder, "SELECT record_id FROM usage ORDER BY 1").rows]


# --- what is kept, and how it comes back


def test_rows_come_through_the_bucket_to_another_machine(
    folder: DataFolder, bucket: Bucket, tmp_path: Path, s3_server: S3Server
) -> None:
    fold(folder, response([call("a"), call("b")], 1))
    assert sorted(rows_of(folder).index) == ["a", "b"]
    assert is_up_to_date(folder, USAGE, "default", WINDOW)
    publication = publish(folder)
    assert (publication.rows["usage"], publication.rows["pulls"]) == (2, 1)
    reader = machine(bucket, tmp_path / "other")
    assert ids(reader) == ["a", "b"]
    assert not is_stale(reader)
    assert list(run_query(reader, "SELECT account, dataset, window_start::VARCHAR FROM pulls").rows) == [
        ("default", "usage", WINDOW.key)
    ]
    kinds = {key.partition("/")[0] for key in s3_server.list_keys(bucket)}
    assert kinds == {"raw", "lake", "snapshots", "warehouse.json"}


def test_only_what_changed_is_published_again(folder: DataFolder) -> None:
    fold(folder, response([call("a")], 1))
    publish(folder)
    assert publish(folder).replaced["usage"] == 0
    fold(folder, response([call("b", start=OTHER.start.isoformat())], 2, window=OTHER), window=OTHER)
    publication = publish(folder)
    assert (publication.replaced["usage"], publication.rebuilt) == (1, False)
    assert ids(folder) == ["a", "b"]


def test_a_large_answer_is_read_in_parts(folder: DataFolder) -> None:
    noise = [call(str(n), clientReferenceId=os.urandom(400).hex()) for n in range(4_000)]
    save(folder, response(noise, 1))
    (key,) = folder.raw_files("usage", "default", WINDOW)
    assert sum(map(len, folder.store.read_chunks(key))) > 1 << 20
    publish(folder)
    assert list(run_query(folder, 'SELECT sum("rows") FROM pulls').rows) == [(4_000,)]
    assert len(ids(folder)) == 4_000


def test_a_ledger_does_not_fetch_the_bodies_of_large_answers(folder: DataFolder, s3_server: S3Server) -> None:
    noise = [call(str(n), clientReferenceId=os.urandom(400).hex()) for n in range(8_000)]
    fold(folder, response(noise, 1))
    publish(folder)
    s3_server.responses.clear()
    publish(folder, full=True)
    fetched = sum(size for path, size in s3_server.responses if "/raw/" in path and "?" not in path)
    (key,) = folder.raw_files("usage", "default", WINDOW)
    assert fetched < sum(map(len, folder.store.read_chunks(key))) / 2


def test_what_was_pushed_is_filed_once(folder: DataFolder) -> None:
    log = RawLog(folder, "default", "usage_callbacks")
    for _ in range(2):
        log.append_callbacks_once(WINDOW, [response([call("pushed")], 1, reason="callback")], "batch")
    publish(folder)
    assert ids(folder) == ["pushed"]
    assert list(run_query(folder, "SELECT dataset, reason FROM pulls").rows) == [("usage_callbacks", "callback")]


def test_files_and_their_hashes_are_verified_in_the_bucket(folder: DataFolder) -> None:
    content = b"ID3" + bytes(5_000)
    with MediaStore(folder).open_incoming() as incoming:
        incoming.sink.write(content)
        stored = MediaStore(folder).store(incoming, expected="audio")
    assert b"".join(folder.store.read_chunks(stored.path)) == content
    assert list(MediaStore(folder).list_files()) == [stored.path]
    assert [str(one) for one in Verification(folder=folder).find_mismatches()] == [
        f"{stored.path} has no row. A killed run left it; the next 'iplum archive' adds it."
    ]
    assert not list(folder.incoming.iterdir()), "nothing stays on this machine"


# --- publishers and readers on several machines


def test_nothing_is_published_yet(folder: DataFolder) -> None:
    with pytest.raises(NothingPublished, match=r"no warehouse at s3://.*/iplum/warehouse.json yet"):
        fetch_snapshot(folder)
    assert not is_stale(folder)


def test_a_publisher_that_finds_another_was_faster_builds_upon_it(
    folder: DataFolder, bucket: Bucket, tmp_path: Path, s3_server: S3Server
) -> None:
    fold(folder, response([call("a")], 1))
    publish(folder)
    other = machine(bucket, tmp_path / "other")
    fold(folder, response([call("b", start=OTHER.start.isoformat())], 2, window=OTHER), window=OTHER)

    def let_the_other_go_first(method: str, path: str) -> None:
        if method in {"PUT", "POST"} and "/snapshots/" in path:
            s3_server.intercept = lambda _method, _path: None
            third = OTHER.next()
            fold(other, response([call("c", start=third.start.isoformat())], 3, window=third), window=third)
            publish(other)

    s3_server.intercept = let_the_other_go_first
    publish(folder)
    assert ids(folder) == ids(other) == ["a", "b", "c"]
    assert not is_stale(folder)
    assert not is_stale(other)


def test_what_the_last_of_two_writers_lacks_comes_with_the_next_publishing(
    folder: DataFolder, bucket: Bucket, tmp_path: Path
) -> None:
    """Conditional writes are not used: the last writer wins, and the next publish adds the missing rows."""
    fold(folder, response([call("a")], 1))
    publish(folder)
    older = read_pointer(folder)
    assert older is not None
    other = machine(bucket, tmp_path / "other")
    fold(other, response([call("b", start=OTHER.start.isoformat())], 2, window=OTHER), window=OTHER)
    publish(other)
    folder.store.write(POINTER, json.dumps(asdict(older)).encode())
    assert ids(other) == ["a"], "the pointer decides, also where a newer copy stands"
    assert is_stale(other)
    publish(folder)
    assert ids(other) == ["a", "b"]


def test_publishers_at_once_lose_nothing(folder: DataFolder, bucket: Bucket, tmp_path: Path) -> None:
    windows = [WINDOW, OTHER, OTHER.next()]
    machines = [machine(bucket, tmp_path / str(number)) for number in range(3)]

    def work(number: int) -> None:
        window = windows[number]
        fold(
            machines[number],
            response([call(str(number), start=window.start.isoformat())], 1, window=window),
            window=window,
        )
        publish(machines[number])

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(work, range(3)))
    if is_stale(folder):
        publish(folder)
    assert ids(folder) == ["0", "1", "2"]


@pytest.mark.parametrize("at", ["/snapshots/", "/warehouse.json"])
def test_a_publisher_killed_while_it_sends_leaves_what_was_published(
    folder: DataFolder, bucket: Bucket, tmp_path: Path, s3_server: S3Server, at: str
) -> None:
    fold(folder, response([call("a")], 1))
    publish(folder)
    fold(folder, response([call("a"), call("b")], 2))
    is_sending, go_on = threading.Event(), threading.Event()

    def hold(method: str, path: str) -> tuple[int, str] | None:
        if method in {"PUT", "POST"} and path.partition("?")[0].rpartition(at)[1]:
            is_sending.set()
            go_on.wait(60)
            return 500, "Killed"
        return None

    s3_server.intercept = hold
    script = """
        import sys
        from pathlib import Path
        from warehouse.storage.s3_config import parse_bucket
        from warehouse.storage.atomic_files import Modes
        from warehouse.storage.paths import DataFolder
        from warehouse.snapshot.publish import publish
        import os
        publish(DataFolder.in_bucket(parse_bucket(sys.argv[1], os.environ), Path(sys.argv[2]), Modes()))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), bucket.address, str(tmp_path / "killed")]
    with subprocess.Popen(command, env={**os.environ, **s3_server.environ}) as process:
        assert is_sending.wait(120)
        process.kill()
    s3_server.intercept = lambda _method, _path: None
    go_on.set()
    assert ids(machine(bucket, tmp_path / "reader")) == ["a"]
    publish(machine(bucket, tmp_path / "killed"))
    assert ids(folder) == ["a", "b"]


def test_replaced_snapshots_go_after_an_hour_and_the_published_one_stays(folder: DataFolder) -> None:
    for number in range(3):
        fold(folder, response([call(str(number))], number + 1))
        publish(folder)
    keys = sorted(folder.store.list_keys(SNAPSHOTS))
    assert len(keys) == 3, "readers may be at it"
    remove_superseded(folder, now=lambda: datetime.now(UTC) + timedelta(minutes=59))
    assert len(list(folder.store.list_keys(SNAPSHOTS))) == 3
    remove_superseded(folder, now=lambda: datetime.now(UTC) + timedelta(minutes=61))
    assert list(folder.store.list_keys(SNAPSHOTS)) == [keys[-1]]
    assert len(ids(folder)) == 3


def test_a_snapshot_that_is_gone_is_built_anew(folder: DataFolder, bucket: Bucket, tmp_path: Path) -> None:
    fold(folder, response([call("a")], 1))
    publish(folder)
    (key,) = folder.store.list_keys(SNAPSHOTS)
    folder.store.remove(key)
    other = machine(bucket, tmp_path / "other")
    with pytest.raises(NothingPublished):
        fetch_snapshot(other)
    publish(other)
    assert ids(folder) == ["a"]
    assert len(list(folder.store.list_keys(SNAPSHOTS))) == 1, "no other writer was first"


def test_a_copy_that_was_changed_is_fetched_again(folder: DataFolder) -> None:
    fold(folder, response([call("a")], 1))
    publish(folder)
    folder.snapshot.write_bytes(b"something else")
    assert ids(folder) == ["a"]


@pytest.mark.parametrize("full", [True, False])
def test_a_damaged_raw_file_keeps_back_its_own_window_alone(folder: DataFolder, full: bool) -> None:
    fold(folder, response([call("a")], 1))
    key = RawLog(folder, "default", "usage").append(OTHER, response([call("b")], 1, window=OTHER))
    folder.store.write(key, b"torn")
    with pytest.raises(PublishedInPart) as caught:
        publish(folder, full=full)
    assert caught.value.damaged == (folder.store.locate(key),)
    assert ids(folder) == ["a"]


# --- what a server refuses


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "not-the-secret-of-the-tests"}, "Correct AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "NOBODYSKEY"}, "Correct AWS_ACCESS_KEY_ID"),
    ],
)
def test_wrong_keys_are_named_without_their_value(
    s3_server: S3Server, tmp_path: Path, changed: dict[str, str], words: str
) -> None:
    folder = machine(s3_server.create_bucket(**changed), tmp_path)
    for act in (folder.check, folder.accounts, lambda: publish(folder), lambda: fetch_snapshot(folder)):
        with pytest.raises(StorageFailed, match=words) as caught:
            act()
        assert "\n" not in str(caught.value)
        assert not any(value in str(caught.value) for value in changed.values())
        assert not any(value in repr(folder) for value in changed.values())


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (400, "ExpiredToken", "Renew AWS_SESSION_TOKEN"),
        (403, "RequestTimeTooSkewed", "Turn on NTP"),
        (400, "AuthorizationHeaderMalformed", "Correct AWS_REGION"),
        (403, "SomethingNew", "Let these keys list, read, write and delete"),
        (400, "SomethingNew", "Check the bucket and AWS_ENDPOINT_URL"),
    ],
)
def test_an_error_is_named_by_its_code_with_the_fix(
    folder: DataFolder, s3_server: S3Server, status: int, code: str, words: str
) -> None:
    s3_server.intercept = lambda _method, _path: (status, f"{code}</Code><StringToSign>hush</StringToSign><Code>")
    for act in (folder.accounts, lambda: save(folder, response([call()], 1)), lambda: fetch_snapshot(folder)):
        with pytest.raises(StorageFailed, match=rf"\({code}\): .*{words}") as caught:
            act()
        assert "hush" not in str(caught.value)


def test_a_missing_bucket_is_named(s3_server: S3Server, tmp_path: Path) -> None:
    folder = machine(parse_bucket("s3://nobodys-bucket/iplum", s3_server.environ), tmp_path)
    for act in (folder.check, folder.accounts, lambda: publish(folder), lambda: fetch_snapshot(folder)):
        with pytest.raises(StorageFailed, match=r"the bucket does not exist. Create it"):
            act()


def test_read_only_keys_are_reported(folder: DataFolder, s3_server: S3Server) -> None:
    fold(folder, response([call("a")], 1))
    publish(folder)
    s3_server.intercept = lambda method, _path: (403, "AccessDenied") if method in {"PUT", "POST", "DELETE"} else None
    assert ids(folder) == ["a"]
    for act in (folder.check, lambda: publish(folder, full=True), lambda: save(folder, response([call("b")], 2))):
        with pytest.raises(StorageFailed, match=r"AccessDenied.*Let these keys list, read, write and delete"):
            act()


def test_an_unreachable_server_is_not_an_empty_warehouse(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "K", "AWS_SECRET_ACCESS_KEY": "S"}
    folder = machine(parse_bucket("s3://some-bucket", environ), tmp_path)
    with pytest.raises(StorageFailed, match=r"the store cannot be reached. Check AWS_ENDPOINT_URL"):
        folder.accounts()


def test_what_can_be_written_passes_the_check_and_leaves_nothing(
    folder: DataFolder, bucket: Bucket, s3_server: S3Server
) -> None:
    folder.check()
    assert s3_server.list_keys(bucket) == []


# --- many windows, few requests


def test_looking_for_what_is_behind_costs_a_listing_and_not_a_request_for_each_window(
    folder: DataFolder, s3_server: S3Server
) -> None:
    windows = list(windows_between(WINDOW.start, WINDOW.start + timedelta(days=100)))
    for window in windows:
        fold(folder, response([call(window.key, start=window.start.isoformat())], 1, window=window), window=window)
    publish(folder)
    s3_server.responses.clear()
    assert not is_stale(folder)
    assert len(s3_server.responses) < len(windows)
    other = windows[3]
    fold(folder, response([call("late", start=other.start.isoformat())], 2, window=other), window=other)
    assert is_stale(folder)
    save(folder, response([call("later", start=other.start.isoformat())], 3, window=other), window=other)
    s3_server.responses.clear()
    publication = publish(folder)
    assert (publication.refolded, publication.replaced["usage"], publication.rebuilt) == (1, 1, False)
    assert len(s3_server.responses) < 2 * len(windows)
    assert len(ids(folder)) == len(windows) + 2


def test_cached_listings_of_one_account_leave_others_to_the_store(folder: DataFolder) -> None:
    fold(folder, response([call("a")], 1))
    RawLog(folder, "other", "usage").append(OTHER, response([call("b")], 1, window=OTHER))
    seen = folder.with_cached_listings("default")
    assert seen.raw_windows("usage", "default") == seen.lake_windows("usage", "default") == [WINDOW]
    assert seen.raw_windows("usage", "other") == [OTHER]
    assert seen.accounts() == ["default", "other"]
    assert folder.with_cached_listings("nobody").lake_windows("usage", "nobody") == []
    assert read_rows(seen, USAGE, "default", OTHER) is None
