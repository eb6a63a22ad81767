"""Backup and restore with the commands of docs/operations.md."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from iplum_resource.standin.server import Running
from pipelines.settings import PROJECT
from tests.support.account import Account

PAGE = (PROJECT / "docs" / "operations.md").read_text()
CONTENT = "SELECT record_id, status, body, sha256 FROM contents ORDER BY ALL"
USAGE = "SELECT * EXCLUDE (window_start) FROM usage ORDER BY ALL"


def run_block(name: str, account: Account) -> str:
    (commands,) = re.findall(rf"<!-- run: {name} -->\n```sh\n(.+?)```", PAGE, re.DOTALL)
    done = subprocess.run(["sh", "-e", "-c", commands], cwd=account.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_backup_restores_identical_tables_without_a_request(
    standin: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account(standin, tmp_path, {"IPLUM_MEDIA_HOSTS": standin.url.removeprefix("http://")})
    account.set_options(rows_per_day=4)
    for name, value in account.environ.items():
        monkeypatch.setenv(name, value)
    assert account.pull().failures == []
    assert account.archive(since=account.first_day).failures == []
    (tmp_path / ".venv").symlink_to(PROJECT / ".venv")
    (tmp_path / ".env").write_text("IPLUM_ACCOUNT=default\n")
    usage, contents = account.query(USAGE), account.query(CONTENT)
    assert len(usage) > 50
    assert {status for _, status, _, _ in contents} == {"verified"}

    run_block("backup", account)
    account.server.requests.clear()
    shutil.rmtree(tmp_path / "data")
    (tmp_path / ".env").unlink()

    assert run_block("restore", account).rstrip().endswith("0 differences")
    assert (tmp_path / ".env").is_file()
    assert account.query(USAGE) == usage
    assert account.query(CONTENT) == contents
    assert account.server.requests == [], "a restore sends no requests to iPlum"
    assert (tmp_path / "iplum-backup.tar.gz").stat().st_mode & 0o077 == 0
