"""Privacy of run events, logs and files: they contain no key, phone number, login, message text or URL."""

import logging
import stat
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest

from pipelines.defs.build import build_definitions
from pipelines.runs.archive import archive
from pipelines.settings import PROJECT
from pipelines.steps.progress import Progress
from tests.support.account import Account, now
from tests.support.callbacks import TOKEN


def read_history(account: Account) -> bytes:
    files = [path for path in (account.path / "data" / "dagster").rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    return b"".join(path.read_bytes() for path in files)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files of this process."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def test_successful_and_failed_runs_record_no_personal_data(
    account: Account, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, temporary: Path
) -> None:
    account.changes["IPLUM_MEDIA_HOSTS"] = account.server.media_host
    account.changes["IPLUM_START_DATE"] = str((account.created_at - timedelta(days=3)).date())
    account.changes["IPLUM_CALLBACK_TOKEN"] = TOKEN
    monkeypatch.setenv("IPLUM_CALLBACK_TOKEN", TOKEN)
    caplog.set_level(logging.INFO)
    faults = {"html_first": 1, "malformed_first": 1, "cut_first": 1, "reset_first": 1, "fail_500_first": 1}
    account.set_options(odd_rows=True, **faults)
    assert account.sync(in_memory=False).failures == []
    account.set_options(odd_rows=True, media_cut=0.1, media_error_page=0.1)
    archive(account.settings, environ=account.environ, progress=Progress(), clock=now)
    addresses = [(r.path,) for r in account.server.requests if r.path.startswith("/media/")]
    assert addresses
    logged = []
    for fault in ({"error_object_first": 10**6}, {"usage_permission": False}):
        account.set_options(**fault)
        failures = account.sync(in_memory=False, publishes=False).failures
        assert failures
        logged += failures
    monkeypatch.setenv("IPLUM_SECRET_KEY", "c4nary-secret")
    account.set_options()
    logged += account.sync(in_memory=False).failures
    assert "401" in logged[-1]

    # The stand-in runs in this process, and its server (uvicorn) logs the paths of requests.
    logged += [record.getMessage() for record in caplog.records if not record.name.startswith("uvicorn")]
    logged += [repr(account.settings), repr(build_definitions(account.settings).resources)]
    logged += [path.read_text(errors="replace") for path in temporary.rglob("*") if path.is_file()]
    everything = read_history(account) + "\n".join(logged).encode()
    parties = account.query("SELECT DISTINCT unnest([from_party, to_party, user_id]) FROM usage")
    bodies = account.query("SELECT DISTINCT body FROM contents WHERE length(body) > 12")
    ids = account.query("SELECT record_id FROM usage")
    keys = [("STANDINACCESSKEY",), ("standin-secret",), ("c4nary-secret",), ("admin@clinic.example",), (TOKEN,)]
    for (secret,) in [*parties, *bodies, *ids, *keys, *addresses]:
        assert secret is None or len(secret) < 6 or secret.encode() not in everything, "personal data was logged"

    data = account.path / "data"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    for layer in ("raw", "lake", "media"):
        modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in (data / layer).rglob("*")}
        assert modes == {(True, 0o700), (False, 0o600)}, layer
    security = (PROJECT / "SECURITY.md").read_text()
    assert [path.name for path in data.iterdir() if f"`{path.name}" not in security] == [], "describe it in SECURITY.md"
