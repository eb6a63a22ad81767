"""Archive runs against the stand-in: downloads, retries and failures."""

import shutil
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from iplum_resource.standin.server import Running
from pipelines import cli
from pipelines.defs.schedules import count_backlog
from pipelines.runs.archive import archive
from pipelines.settings import load_settings
from pipelines.steps.progress import Progress
from tests.support.account import Account, now
from warehouse.archive.backlog import find_backlog
from warehouse.checks.data_quality import find_by_select
from warehouse.schema.tables import RECORDING_FILES, Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of

CONTENT, RECORDING = "/usage/getcontent", "/callrecordings/getrecordingfile"
IPLUM = [sys.executable, "-m", "pipelines.cli"]


@pytest.fixture(scope="session")
def synced_once(standin_server: Running, tmp_path_factory: pytest.TempPathFactory) -> Account:
    """A synced account with a week of records. Its files are on the stand-in's media host."""
    account = Account(standin_server, tmp_path_factory.mktemp("synced"))
    account.set_options()
    account.changes["IPLUM_MEDIA_HOSTS"] = account.server.media_host
    account.changes["IPLUM_START_DATE"] = str((account.created_at - timedelta(days=5)).date())
    with pytest.MonkeyPatch.context() as environment:
        for name, value in account.environ.items():
            environment.setenv(name, value)
        assert account.pull().failures == []
    return account


@pytest.fixture
def synced(synced_once: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """A copy of the account that is synced once per session."""
    shutil.copytree(synced_once.path / "data", tmp_path / "data")
    account = Account(synced_once.server, tmp_path, dict(synced_once.changes), synced_once.created_at)
    account.set_options()
    for name, value in account.environ.items():
        monkeypatch.setenv(name, value)
    return account


def count(account: Account, table: str) -> dict[str, int]:
    return {str(s): int(n) for s, n in account.query(f"SELECT status, count(*) FROM {table} GROUP BY 1")}


def count_expected(account: Account) -> dict[str, int]:
    """Count the records that must be verified at the end."""
    ((texts,),) = account.query("SELECT count(*) FROM usage WHERE channel IN ('text', 'fax')")
    ((recordings,),) = account.query("SELECT count(*) FROM recordings")
    return {"contents": texts, "recording_files": recordings}


def assert_all_verified(account: Account) -> None:
    for table, rows in count_expected(account).items():
        assert count(account, table) == {"verified": rows}
    assert cli.run(["verify", "--offline"]) == 0


def test_the_command_states_records_and_duration_before_it_starts(
    synced: Account, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPLUM_REQUESTS_PER_SECOND", "100")
    records = sum(count_expected(synced).values())
    assert cli.run(["archive"]) == 0
    first = capsys.readouterr().err.splitlines()[0]
    assert f"{records} records to download: at least 1 minute at the set rate" in first
    assert cli.run(["archive"]) == 0
    assert "0 records to download" in capsys.readouterr().err
    started: list[tuple[int, timedelta]] = []
    settings = load_settings({**synced.environ, "IPLUM_REQUESTS_PER_SECOND": "0.5"}, synced.path)
    shutil.rmtree(synced.folder.root / "raw" / "contents")
    shutil.rmtree(synced.folder.root / "lake" / "contents")
    with pytest.raises(InterruptedError):
        archive(
            settings,
            environ=synced.environ,
            progress=Progress(),
            clock=now,
            on_start=lambda *plan: stop_after(started, plan),
        )
    texts = count_expected(synced)["contents"]
    assert started == [(texts, timedelta(seconds=2 * texts))]


def test_each_window_is_read_once_to_find_the_backlog(synced: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each archive table was combined with each source, so that every window was read twice."""
    read: list[tuple[str, str]] = []

    def record(folder: DataFolder, table: Table, account: str, window: StorageWindow, *, now: datetime) -> list[str]:
        read.append((table.name, window.key))
        return find_backlog(folder, table, account, window, now=now)

    monkeypatch.setattr("pipelines.defs.schedules.find_backlog", record)
    counts = count_backlog(synced.settings, now())
    assert sum(counts.values()) == sum(count_expected(synced).values())
    folders = {"contents": "usage", "recording_files": "recordings"}
    expected = [
        (table, window.key)
        for table, source in folders.items()
        for window in synced.folder.lake_windows(source, "default")
        if window >= window_of(synced.settings.start_date)
    ]
    assert sorted(read) == sorted(expected)


def stop_after(seen: list[tuple[int, timedelta]], plan: tuple[int, timedelta]) -> None:
    seen.append(plan)
    raise InterruptedError


def test_all_contents_are_downloaded_once(synced: Account) -> None:
    assert synced.archive(publishes=True).failures == []
    assert_all_verified(synced)
    expected = count_expected(synced)
    assert synced.count_requests(CONTENT) == expected["contents"]
    assert synced.count_requests(RECORDING) == expected["recording_files"]
    kinds = dict(synced.query("SELECT kind, count(*) FROM contents GROUP BY 1"))
    assert kinds.keys() == {"text", "media", "empty"}
    unlisted_urls = "SELECT count(*) FROM messages WHERE body LIKE 'http%outside.example%' AND kind = 'text'"
    assert synced.query(unlisted_urls)[0][0] > 0, "a URL on an unlisted host is stored as text"
    as_sent = {
        "null",
        "123",
        "  ",
        "First line\nsecond line\r\n\tand a tab",
        'The form says "sign here" twice, is that right?',
    }
    assert as_sent & {body for (body,) in synced.query("SELECT DISTINCT body FROM messages")}
    files = [path for path in (synced.folder.root / "media").rglob("*") if path.is_file()]
    assert 0 < len(files) <= expected["recording_files"] + kinds["media"]

    synced.server.requests.clear()
    assert synced.archive().failures == []
    assert synced.archive(since=synced.settings.start_date).failures == []
    assert synced.server.requests == []


@pytest.mark.parametrize("content_as", ["json", "plain"])
def test_json_and_plain_text_bodies_are_equal(synced: Account, content_as: Any) -> None:
    synced.set_options(content_as=content_as)
    synced.archive()
    bodies = {body for (body,) in synced.query("SELECT DISTINCT body FROM contents WHERE kind = 'text'")}
    assert "Hello" in bodies
    assert "null" in bodies or "123" in bodies
    assert not any(body.startswith('"') for body in bodies)


@pytest.mark.parametrize(
    "options",
    [{"media_cut": 0.2}, {"fail_500": 0.05, "reset": 0.05}, {"fail_429_first": 3}],
    ids=lambda options: "+".join(options),
)
def test_transient_errors_are_retried(synced: Account, options: dict[str, Any]) -> None:
    synced.set_options(**options)
    assert synced.archive().failures == []
    assert_all_verified(synced)


def test_an_html_page_is_rejected_and_downloaded_again_later(synced: Account) -> None:
    synced.set_options(media_error_page=1.0)
    assert synced.archive().failures == [], "rejected files do not fail a window"
    expected = count_expected(synced)
    assert count(synced, "recording_files") == {"failed": expected["recording_files"]}
    assert synced.query("SELECT DISTINCT error LIKE '%web page%' FROM recording_files") == [(True,)]
    findings = find_by_select(synced.folder, "all_fetched", RECORDING_FILES)
    assert sum(finding.rows for finding in findings) == expected["recording_files"], "the check reports them"
    assert not [path for path in (synced.folder.root / "media").rglob("*") if path.is_file()]

    synced.set_options()
    synced.archive()
    assert count(synced, "recording_files") == {"failed": expected["recording_files"]}, "no attempt within minutes"
    synced.archive(clock=lambda: now() + timedelta(hours=1))
    assert_all_verified(synced)


def test_unavailable_files_are_pending_and_gone_after_a_day(synced: Account) -> None:
    synced.set_options(media_not_ready_first=10_000)
    synced.archive()
    assert count(synced, "recording_files") == {"pending": count_expected(synced)["recording_files"]}
    requests = synced.count_requests(RECORDING)
    assert requests == 2 * count_expected(synced)["recording_files"], "a new URL is requested once"
    synced.archive(clock=lambda: now() + timedelta(days=1, minutes=1))
    assert count(synced, "recording_files") == {"gone": count_expected(synced)["recording_files"]}


def test_pending_files_are_downloaded_once_available(synced: Account) -> None:
    synced.set_options(media_not_ready_first=10)
    synced.archive()
    synced.archive(clock=lambda: now() + timedelta(hours=1))
    assert_all_verified(synced)


def test_texts_are_downloaded_without_a_recording_plan(synced: Account) -> None:
    synced.set_options(recording_plan=False)
    assert synced.archive().failures == []
    most = 20 + 2 * synced.settings.concurrency
    assert synced.count_requests(RECORDING) <= most, "a 403 of one record says nothing about the others; twenty do"
    assert synced.query("SELECT count(*) FROM recording_files") == [(0,)]
    assert count(synced, "contents") == {"verified": count_expected(synced)["contents"]}


def test_a_wrong_key_stops_the_run_at_the_first_request(synced: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPLUM_SECRET_KEY", "wrong-secret")
    report = synced.archive()
    assert "401" in report.failures[0]
    assert len(synced.server.requests) == 1


def test_a_url_on_an_unlisted_host_is_not_downloaded(synced: Account) -> None:
    synced.changes["IPLUM_MEDIA_HOSTS"] = "media.iplum.com"
    synced.archive()
    assert [r.path for r in synced.server.requests if r.path.startswith("/media")] == []
    assert set(count(synced, "recording_files")) == {"failed"}
    assert synced.query("SELECT count(*) FROM contents WHERE kind = 'media'") == [(0,)]


def test_a_lost_file_is_downloaded_again_and_a_different_file_is_rejected(
    synced: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    synced.archive()
    missing, damaged, restored = sorted((synced.folder.root / "media").rglob("*.mp3"))[:3]
    backup = restored.read_bytes()
    missing.unlink()
    damaged.write_bytes(b"ID3 damaged")
    restored.unlink()
    assert cli.run(["verify", "--offline"]) == 1
    errors = capsys.readouterr().err
    assert (errors.count("is missing"), errors.count("is damaged")) == (2, 1)
    restored.write_bytes(backup)

    synced.set_options(media_bytes=10_000)
    synced.archive()
    assert count(synced, "recording_files")["failed"] == 2
    assert synced.query("SELECT count(*) FROM recording_files WHERE error LIKE '%different file%'") == [(2,)]
    assert not missing.exists()

    synced.set_options()
    assert synced.archive().failures == []
    assert_all_verified(synced)
    assert synced.count_requests(RECORDING) == 2, "a file restored from a backup is not requested"


def test_the_archive_export_and_verify_commands(synced: Account, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["archive"]) == 0
    output = capsys.readouterr().out
    assert f"recording_files verified  {count_expected(synced)['recording_files']:>10,} records" in output
    target = str(synced.path / "case")
    until = str((now() + timedelta(days=1)).date())
    assert cli.run(["export", "--since", "2020-01-01", "--until", until, target]) == 0
    assert "sha256sum -c" in capsys.readouterr().out
    assert cli.run(["export", "--since", until, "--until", until, target + "2"]) == 2
    (file, *_) = (synced.folder.root / "media").rglob("*.mp3")
    file.write_bytes(b"damaged")
    assert cli.run(["verify", "--offline"]) == 1
    assert "damaged" in capsys.readouterr().err
