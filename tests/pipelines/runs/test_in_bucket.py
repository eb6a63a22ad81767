"""Commands on a warehouse in a bucket, and their errors."""

from pathlib import Path

import pytest

from pipelines import cli
from tests.support.account import Account
from tests.support.s3 import S3Server
from warehouse.storage.s3_config import Bucket


@pytest.fixture
def in_bucket(account: Account, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An account with its data in a bucket and its state in a local folder."""
    address = {
        "IPLUM_DATA": s3_server.create_bucket("clinic/iplum").address,
        "IPLUM_STATE": str(account.path / "state"),
    }
    media = {"IPLUM_MEDIA_HOSTS": account.server.url.removeprefix("http://")}
    account.changes = {**address, **media, **s3_server.environ}
    for name, value in account.changes.items():
        monkeypatch.setenv(name, value)
    return account


def run(*arguments: str) -> int:
    return cli.run(list(arguments))


def get_bucket(account: Account) -> Bucket:
    assert isinstance(account.settings.data, Bucket)
    return account.settings.data


def test_every_command_works_on_a_bucket(
    in_bucket: Account, s3_server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket, history = get_bucket(in_bucket), {"rows_per_day": 5}
    in_bucket.set_options(**history)
    assert run("sync") == 0
    assert in_bucket.ids() == in_bucket.expected_ids(**history)
    assert f"published {bucket.address}/warehouse.json" in capsys.readouterr().out
    assert run("archive") == 0
    assert run("verify", "--offline") == 0
    capsys.readouterr()
    assert run("sql", "SELECT count(*) AS files FROM recording_files WHERE status = 'verified'", "--format", "csv") == 0
    media_files = [key for key in s3_server.list_keys(bucket) if key.startswith("media/")]
    assert int(capsys.readouterr().out.split()[1]) > 0
    assert media_files
    assert "report.html" in s3_server.list_keys(bucket)
    assert run("retention", "--older-than", "10", "--yes") == 0
    assert len([key for key in s3_server.list_keys(bucket) if key.startswith("snapshots/")]) == 1
    media_files = [key for key in s3_server.list_keys(bucket) if key.startswith("media/")]
    since, until = str(in_bucket.first_day), "2099-01-01"
    assert run("export", "--since", since, "--until", until, str(in_bucket.path / "case")) == 0
    assert {path.name for path in (in_bucket.path / "case/files").iterdir()} == {Path(key).name for key in media_files}


def test_fetch_prints_the_path_of_the_downloaded_snapshot(
    in_bucket: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fetch") == 1
    assert f"no warehouse at {get_bucket(in_bucket).address}/warehouse.json yet" in capsys.readouterr().err
    assert run("publish") == 0
    in_bucket.folder.snapshot.unlink()
    capsys.readouterr()
    assert run("fetch") == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == in_bucket.folder.snapshot
    assert path.is_file()


@pytest.mark.parametrize("command", [("sync",), ("archive",), ("publish",), ("sql", "SELECT 1"), ("report",)])
def test_a_wrong_key_of_the_bucket_exits_with_1_and_one_line(
    in_bucket: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-wrong-secret")
    assert run(*command) == 1
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0
    assert "Correct AWS_SECRET_ACCESS_KEY" in error
    assert "a-wrong-secret" not in error
    assert in_bucket.server.requests == [], "nothing is requested from iPlum if it cannot be stored"


def test_the_doctor_checks_access_to_the_bucket(
    in_bucket: Account, s3_server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    s3_server.intercept = lambda method, _path: (403, "AccessDenied") if method == "PUT" else None
    assert run("doctor") == 1
    assert "Let these keys list, read, write and delete" in capsys.readouterr().out
    s3_server.intercept = lambda _method, _path: None
    run("doctor")
    assert f"{get_bucket(in_bucket).address}: files can be written, read and deleted" in capsys.readouterr().out
    assert s3_server.list_keys(get_bucket(in_bucket)) == []
