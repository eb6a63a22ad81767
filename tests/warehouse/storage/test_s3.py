"""A warehouse in a bucket of a real S3 server: several machines, killed publishers, and error messages."""

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
    return open_on_machine(bucket, tmp_path / "one")


def open_on_machine(bucket: Bucket, state: Path) -> DataFolder:
    """Return the data folder in a bucket as another machine with its own state folder sees it."""
    return DataFolder.in_bucket(bucket, state, Modes())


def ids(folder: DataFolder) -> list[str]:
    return [row[0] for row in run_query(folder, "SELECT record_id FROM usage ORDER BY 1").rows]


# --- stored data


def test_another_machine_reads_the_published_rows(
    folder: DataFolder, bucket: Bucket, tmp_path: Path, s3_server: S3Server
) -> None:
    fold(folder, response([call("a"), call("b")], 1))
    assert sorted(rows_of(folder).index) == ["a", "b"]
    assert is_up_to_date(folder, USAGE, "default", WINDOW)
    publication = publish(folder)
    assert (publication.rows["usage"], publication.rows["pulls"]) == (2, 1)
    reader = open_on_machine(bucket, tmp_path / "other")
    assert ids(reader) == ["a", "b"]
    assert not is_stale(reader)
    assert list(run_query(reader, "SELECT account, dataset, window_start::VARCHAR FROM pulls").rows) == [
        ("default", "usage", WINDOW.key)
    ]
    prefixes = {key.partition("/")[0] for key in s3_server.list_keys(bucket)}
    assert prefixes == {"raw", "lake", "snapshots", "warehouse.json"}


def test_only_changed_windows_are_published_again(folder: DataFolder) -> None:
    fold(folder, response([call("a")], 1))
    publish(folder)
    assert publish(folder).replaced["usage"] == 0
    fold(folder, response([call("b", start=OTHER.start.isoformat())], 2, window=OTHER), window=OTHER)
    publication = publish(folder)
    assert (publication.replaced["usage"], publication.rebuilt) == (1, False)
    assert ids(folder) == ["a", "b"]


def test_a_large_response_is_read_in_parts(folder: DataFolder) -> None:
    records = [call(str(n), clientReferenceId=os.urandom(400).hex()) for n in range(4_000)]
    save(folder, response(records, 1))
    (key,) = folder.raw_files("usage", "default", WINDOW)
    assert sum(map(len, folder.store.read_chunks(key))) > 1 << 20
    publish(folder)
    assert list(run_query(folder, 'SELECT sum("rows") FROM pulls').rows) == [(4_000,)]
    assert len(ids(folder)) == 4_000


def test_publishing_pulls_does_not_fetch_large_response_bodies(folder: DataFolder, s3_server: S3Server) -> None:
    records = [call(str(n), clientReferenceId=os.urandom(400).hex()) for n in range(8_000)]
    fold(folder, response(records, 1))
    publish(folder)
    s3_server.responses.clear()
    publish(folder, full=True)
    fetched_bytes = sum(size for path, size in s3_server.responses if "/raw/" in path and "?" not in path)
    (key,) = folder.raw_files("usage", "default", WINDOW)
    assert fetched_bytes < sum(map(len, folder.store.read_chunks(key))) / 2


def test_callbacks_of_a_batch_are_stored_once(folder: DataFolder) -> None:
    log = RawLog(folder, "default", "usage_callbacks")
    for _ in range(2):
        log.append_callbacks_once(WINDOW, [response([call("pushed")], 1, reason="callback")], "batch")
    publish(folder)
    assert ids(folder) == ["pushed"]
    assert list(run_query(folder, "SELECT dataset, reason FROM pulls").rows) == [("usage_callbacks", "callback")]


def test_media_files_in_the_bucket_are_verified(folder: DataFolder) -> None:
    content = b"ID3" + bytes(5_000)
    with MediaStore(folder).open_incoming() as incoming:
        incoming.sink.write(content)
        stored = MediaStore(folder).store(incoming, expected="audio")
    assert b"".join(folder.store.read_chunks(stored.path)) == content
    assert list(MediaStore(folder).list_files()) == [stored.path]
    assert [str(mismatch) for mismatch in Verification(folder=folder).find_mismatches()] == [
        f"{stored.path} has no row. A killed run left it; the next 'iplum archive' adds it."
    ]
    assert not list(folder.incoming.iterdir()), "no local copy is left"


# --- publishers and readers on several machines


def test_the_error_before_the_first_publish_names_the_bucket(folder: DataFolder) -> None:
    with pytest.raises(NothingPublished, match=r"no warehouse at s3://.*/iplum/warehouse.json yet"):
        fetch_snapshot(folder)
    assert not is_stale(folder)


def test_a_publisher_that_was_overtaken_adds_its_rows_to_the_newer_snapshot(
    folder: DataFolder, bucket: Bucket, tmp_path: Path, s3_server: S3Server
) -> None:
    fold(folder, response([call("a")], 1))
    publish(folder)
    other = open_on_machine(bucket, tmp_path / "other")
    fold(folder, response([call("b", start=OTHER.start.isoformat())], 2, window=OTHER), window=OTHER)

    def publish_on_other_machine_first(method: str, path: str) -> None:
        if method in {"PUT", "POST"} and "/snapshots/" in path:
            s3_server.intercept = lambda _method, _path: None
            third = OTHER.next()
            fold(other, response([call("c", start=third.start.isoformat())], 3, window=third), window=third)
            publish(other)

    s3_server.intercept = publish_on_other_machine_first
    publish(folder)
    assert ids(folder) == ids(other) == ["a", "b", "c"]
    assert not is_stale(folder)
    assert not is_stale(other)


def test_rows_missing_after_concurrent_writes_are_added_by_the_next_publish(
    folder: DataFolder, bucket: Bucket, tmp_path: Path
) -> None:
    """Conditional writes are not used: the last writer wins, and the next publish adds the missing rows."""
    fold(folder, response([call("a")], 1))
    publish(folder)
    older = read_pointer(folder)
    assert older is not None
    other = open_on_machine(bucket, tmp_path / "other")
    fold(other, response([call("b", start=OTHER.start.isoformat())], 2, window=OTHER), window=OTHER)
    publish(other)
    folder.store.write(POINTER, json.dumps(asdict(older)).encode())
    assert ids(other) == ["a"], "the pointer decides, even if the machine has a newer copy"
    assert is_stale(other)
    publish(folder)
    assert ids(other) == ["a", "b"]


def test_concurrent_publishers_lose_no_rows(folder: DataFolder, bucket: Bucket, tmp_path: Path) -> None:
    windows = [WINDOW, OTHER, OTHER.next()]
    machines = [open_on_machine(bucket, tmp_path / str(number)) for number in range(3)]

    def fold_and_publish(number: int) -> None:
        window = windows[number]
        fold(
            machines[number],
            response([call(str(number), start=window.start.isoformat())], 1, window=window),
            window=window,
        )
        publish(machines[number])

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(fold_and_publish, range(3)))
    if is_stale(folder):
        publish(folder)
    assert ids(folder) == ["0", "1", "2"]


@pytest.mark.parametrize("at", ["/snapshots/", "/warehouse.json"])
def test_a_publisher_killed_during_an_upload_leaves_the_published_snapshot(
    folder: DataFolder, bucket: Bucket, tmp_path: Path, s3_server: S3Server, at: str
) -> None:
    fold(folder, response([call("a")], 1))
    publish(folder)
    fold(folder, response([call("a"), call("b")], 2))
    is_uploading, can_continue = threading.Event(), threading.Event()

    def hold_upload(method: str, path: str) -> tuple[int, str] | None:
        if method in {"PUT", "POST"} and path.partition("?")[0].rpartition(at)[1]:
            is_uploading.set()
            can_continue.wait(60)
            return 500, "Killed"
        return None

    s3_server.intercept = hold_upload
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
        assert is_uploading.wait(120)
        process.kill()
    s3_server.intercept = lambda _method, _path: None
    can_continue.set()
    assert ids(open_on_machine(bucket, tmp_path / "reader")) == ["a"]
    publish(open_on_machine(bucket, tmp_path / "killed"))
    assert ids(folder) == ["a", "b"]


def test_superseded_snapshots_are_removed_after_an_hour(folder: DataFolder) -> None:
    for number in range(3):
        fold(folder, response([call(str(number))], number + 1))
        publish(folder)
    keys = sorted(folder.store.list_keys(SNAPSHOTS))
    assert len(keys) == 3, "readers may still use them"
    remove_superseded(folder, now=lambda: datetime.now(UTC) + timedelta(minutes=59))
    assert len(list(folder.store.list_keys(SNAPSHOTS))) == 3
    remove_superseded(folder, now=lambda: datetime.now(UTC) + timedelta(minutes=61))
    assert list(folder.store.list_keys(SNAPSHOTS)) == [keys[-1]]
    assert len(ids(folder)) == 3


def test_a_missing_snapshot_is_rebuilt(folder: DataFolder, bucket: Bucket, tmp_path: Path) -> None:
    fold(folder, response([call("a")], 1))
    publish(folder)
    (key,) = folder.store.list_keys(SNAPSHOTS)
    folder.store.remove(key)
    other = open_on_machine(bucket, tmp_path / "other")
    with pytest.raises(NothingPublished):
        fetch_snapshot(other)
    publish(other)
    assert ids(folder) == ["a"]
    assert len(list(folder.store.list_keys(SNAPSHOTS))) == 1, "the snapshot is built once"


def test_a_changed_local_copy_is_fetched_again(folder: DataFolder) -> None:
    fold(folder, response([call("a")], 1))
    publish(folder)
    folder.snapshot.write_bytes(b"changed")
    assert ids(folder) == ["a"]


@pytest.mark.parametrize("full", [True, False])
def test_a_damaged_raw_file_delays_only_its_own_window(folder: DataFolder, full: bool) -> None:
    fold(folder, response([call("a")], 1))
    key = RawLog(folder, "default", "usage").append(OTHER, response([call("b")], 1, window=OTHER))
    folder.store.write(key, b"damaged")
    with pytest.raises(PublishedInPart) as caught:
        publish(folder, full=full)
    assert caught.value.damaged == (folder.store.locate(key),)
    assert ids(folder) == ["a"]


# --- errors of the server


@pytest.mark.parametrize(
    ("changed", "fix"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "not-the-secret-of-the-tests"}, "Correct AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "UNKNOWNKEY"}, "Correct AWS_ACCESS_KEY_ID"),
    ],
)
def test_wrong_keys_are_reported_without_their_value(
    s3_server: S3Server, tmp_path: Path, changed: dict[str, str], fix: str
) -> None:
    folder = open_on_machine(s3_server.create_bucket(**changed), tmp_path)
    for action in (folder.check, folder.accounts, lambda: publish(folder), lambda: fetch_snapshot(folder)):
        with pytest.raises(StorageFailed, match=fix) as caught:
            action()
        assert "\n" not in str(caught.value)
        assert not any(value in str(caught.value) for value in changed.values())
        assert not any(value in repr(folder) for value in changed.values())


@pytest.mark.parametrize(
    ("status", "code", "fix"),
    [
        (400, "ExpiredToken", "Renew AWS_SESSION_TOKEN"),
        (403, "RequestTimeTooSkewed", "Turn on NTP"),
        (400, "AuthorizationHeaderMalformed", "Correct AWS_REGION"),
        (403, "SomethingNew", "Let these keys list, read, write and delete"),
        (400, "SomethingNew", "Check the bucket and AWS_ENDPOINT_URL"),
    ],
)
def test_an_error_is_reported_with_its_code_and_the_fix(
    folder: DataFolder, s3_server: S3Server, status: int, code: str, fix: str
) -> None:
    s3_server.intercept = lambda _method, _path: (status, f"{code}</Code><StringToSign>s3cret</StringToSign><Code>")
    for action in (folder.accounts, lambda: save(folder, response([call()], 1)), lambda: fetch_snapshot(folder)):
        with pytest.raises(StorageFailed, match=rf"\({code}\): .*{fix}") as caught:
            action()
        assert "s3cret" not in str(caught.value)


def test_a_missing_bucket_is_reported(s3_server: S3Server, tmp_path: Path) -> None:
    folder = open_on_machine(parse_bucket("s3://missing-bucket/iplum", s3_server.environ), tmp_path)
    for action in (folder.check, folder.accounts, lambda: publish(folder), lambda: fetch_snapshot(folder)):
        with pytest.raises(StorageFailed, match=r"the bucket does not exist. Create it"):
            action()


def test_read_only_keys_are_reported(folder: DataFolder, s3_server: S3Server) -> None:
    fold(folder, response([call("a")], 1))
    publish(folder)
    s3_server.intercept = lambda method, _path: (403, "AccessDenied") if method in {"PUT", "POST", "DELETE"} else None
    assert ids(folder) == ["a"]
    for action in (folder.check, lambda: publish(folder, full=True), lambda: save(folder, response([call("b")], 2))):
        with pytest.raises(StorageFailed, match=r"AccessDenied.*Let these keys list, read, write and delete"):
            action()


def test_an_unreachable_server_is_not_an_empty_warehouse(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "K", "AWS_SECRET_ACCESS_KEY": "S"}
    folder = open_on_machine(parse_bucket("s3://some-bucket", environ), tmp_path)
    with pytest.raises(StorageFailed, match=r"the store cannot be reached. Check AWS_ENDPOINT_URL"):
        folder.accounts()


def test_the_check_of_a_writable_bucket_leaves_no_files(
    folder: DataFolder, bucket: Bucket, s3_server: S3Server
) -> None:
    folder.check()
    assert s3_server.list_keys(bucket) == []


# --- many windows, few requests


def test_finding_stale_windows_needs_fewer_requests_than_windows(folder: DataFolder, s3_server: S3Server) -> None:
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


def test_cached_listings_of_one_account_do_not_affect_other_accounts(folder: DataFolder) -> None:
    fold(folder, response([call("a")], 1))
    RawLog(folder, "other", "usage").append(OTHER, response([call("b")], 1, window=OTHER))
    cached = folder.with_cached_listings("default")
    assert cached.raw_windows("usage", "default") == cached.lake_windows("usage", "default") == [WINDOW]
    assert cached.raw_windows("usage", "other") == [OTHER]
    assert cached.accounts() == ["default", "other"]
    assert folder.with_cached_listings("unknown").lake_windows("usage", "unknown") == []
    assert read_rows(cached, USAGE, "default", OTHER) is None
