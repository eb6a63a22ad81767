"""What Dagster remembers of a run: counts and windows, never a key, a number, a login or a body."""

from datetime import timedelta

import pytest

from pipelines.archive import archive
from pipelines.progress import Silence
from tests.pipelines.account import Account, now


def read_history(account: Account) -> bytes:
    files = [path for path in (account.path / "data" / "dagster").rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    return b"".join(path.read_bytes() for path in files)


def test_neither_a_green_nor_a_red_run_tells_anything(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.changes["IPLUM_MEDIA_HOSTS"] = account.server.media_host
    account.changes["IPLUM_START_DATE"] = str((account.began - timedelta(days=3)).date())
    account.play(odd_rows=True)
    assert account.sync().failures == []
    archive(account.settings, environ=account.environ, progress=Silence(), clock=now)
    account.play(usage_permission=False)
    assert account.sync().failures != []
    monkeypatch.setenv("IPLUM_SECRET_KEY", "c4nary-secret")
    account.play()
    assert "401" in account.sync().failures[0]

    history = read_history(account)
    parties = account.ask("SELECT DISTINCT unnest([from_party, to_party, user_id]) FROM usage")
    bodies = account.ask("SELECT DISTINCT body FROM contents WHERE length(body) > 12")
    ids = account.ask("SELECT record_id FROM usage")
    keys = [("STANDINACCESSKEY",), ("standin-secret",), ("c4nary-secret",), ("admin@clinic.example",)]
    for (told,) in [*parties, *bodies, *ids, *keys]:
        assert told is None or len(told) < 6 or told.encode() not in history, "personal data in Dagster's history"
