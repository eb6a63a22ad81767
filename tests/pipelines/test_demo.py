"""The demo and a real account: neither sees the other's settings, and their records never mix."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from pipelines import cli
from pipelines.defs.build import build_definitions
from pipelines.defs.partitions import build_range_tags
from pipelines.demo import describe_account, prepare_folder
from pipelines.doctor import run_diagnosis
from pipelines.doctor.diagnosis import State
from pipelines.runs.account_jobs import run_job
from pipelines.runs.sync import sync
from pipelines.settings import DEMO, PROJECT, SettingsError, load_accounts, load_settings, read_environment
from pipelines.steps.progress import Progress
from pipelines.warehouse_folder import check_origin, open_folder, open_inbox
from tests.support.account import Account, now
from tests.support.raw_responses import call, fold, response
from warehouse.raw.inbox import Event
from warehouse.windows import window_of

REAL = """IPLUM_ACCESS_KEY=c4nary
IPLUM_BASE_URL=https://api.iplum.com
IPLUM_ALERT_WEBHOOK=https://hooks.example/c4nary
IPLUM_CALLBACK_TOKEN=c4nary-c4nary-c4nary
"""


@pytest.fixture
def real_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project folder with a real account in `.env`, accounts.toml and the environment."""
    (tmp_path / ".env").write_text(REAL)
    (tmp_path / "accounts.toml").write_text(
        "[east]\naccess_key = 'IPLUM_ACCESS_KEY'\nsecret_key = 'EAST_SECRET'\nlogin_id = 'EAST_LOGIN'\n"
    )
    variables = dict(line.split("=", 1) for line in REAL.splitlines())
    for name, value in {**variables, "IPLUM_LIMITER_URL": "postgresql://c4nary", "AWS_ACCESS_KEY_ID": "c4nary"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "c4nary"))
    return tmp_path


def test_the_demo_reads_no_setting_of_a_real_account(real_account: Path) -> None:
    environ = describe_account("http://127.0.0.1:9", real_account / "demo", began=now())
    assert "c4nary" not in str({name: environ[name] for name in environ if name != "PYTHONPATH"})
    assert read_environment(environ, real_account) == environ
    (settings,) = load_accounts(environ, real_account)
    assert (settings.account, settings.alerts.is_on, bool(settings.limiter_url)) == ("default", False, False)
    assert settings.base_url == "http://127.0.0.1:9"


def test_the_processes_of_the_demo_s_ui_read_none_either(real_account: Path) -> None:
    """Dagster's code server and its runs load the definitions again."""
    environ = describe_account("http://127.0.0.1:9", real_account / "demo", began=now())
    script = (
        "import os, sys; from pathlib import Path; import pipelines.settings as s;"
        "root = Path(sys.argv[1]); found = s.read_environment(os.environ, root);"
        "print([one.account for one in s.load_accounts(found, root)], found['IPLUM_ACCESS_KEY'])"
    )
    command = [sys.executable, "-c", script, str(real_account)]
    done = subprocess.run(command, env=dict(environ), cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "['default'] STANDINACCESSKEY\n"


def test_a_real_account_cannot_pass_for_the_demo(real_account: Path) -> None:
    (real_account / ".env").write_text(f"{REAL}{DEMO}=true\n")
    assert DEMO not in read_environment({}, real_account)
    with pytest.raises(SettingsError, match="unset it"):
        load_settings({DEMO: "true", "IPLUM_BASE_URL": "https://api.iplum.com"}, real_account)


@pytest.fixture
def demo(account: Account) -> Account:
    """Return an account whose IPLUM_DATA is the demo's folder with some records."""
    settings = load_settings({**account.environ, DEMO: "true"}, account.path)
    prepare_folder(settings)
    prepare_folder(settings)
    fold(account.folder, response([call()], 1))
    return account


@pytest.mark.parametrize("command", ["sync", "archive", "verify", "receiver"])
def test_real_records_cannot_enter_the_demo_s_folder(
    demo: Account, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IPLUM_CALLBACK_TOKEN", "a-token-of-callbacks")
    before = sorted(demo.folder.root.rglob("*"))
    assert cli.run([command]) == 2
    assert "the folder of the demo" in capsys.readouterr().err
    assert demo.server.requests == []
    assert sorted(demo.folder.root.rglob("*")) == before


def test_the_state_of_the_demo_is_refused_too(
    demo: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IPLUM_STATE", str(demo.folder.root))
    monkeypatch.setenv("IPLUM_DATA", str(demo.path / "elsewhere"))
    assert cli.run(["sync"]) == 2
    assert "demo" in capsys.readouterr().err


@pytest.mark.parametrize("variable", ["IPLUM_DATA", "IPLUM_STATE", "IPLUM_INBOX_URL"])
def test_a_place_below_the_demo_s_folder_is_refused_too(
    demo: Account, variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    link = demo.path / "link"
    link.symlink_to(demo.folder.root)
    monkeypatch.setenv("IPLUM_DATA", str(demo.path / "real"))
    for place in (demo.folder.root, link):
        below = place / "deep" / "er"
        monkeypatch.setenv(variable, f"sqlite:///{below}.sqlite" if variable == "IPLUM_INBOX_URL" else str(below))
        assert cli.run(["sync"]) == 2
        assert "the folder of the demo" in capsys.readouterr().err
        assert not below.parent.exists()
    assert demo.server.requests == []


def test_the_demo_does_not_use_the_inbox_of_an_account(demo: Account) -> None:
    environ = {**demo.environ, DEMO: "true", "IPLUM_INBOX_URL": f"sqlite:///{demo.path}/inbox.sqlite"}
    settings = load_settings(environ, demo.path)
    with pytest.raises(SettingsError, match="IPLUM_INBOX_URL must be in the folder of the demo"):
        check_origin(settings, open_folder(settings))


def test_a_run_of_dagster_cannot_mix_them_either(demo: Account) -> None:
    definitions = build_definitions(demo.settings, clock=now)
    with open_inbox(demo.settings, demo.folder) as inbox, dg.DagsterInstance.ephemeral() as instance:
        inbox.append([Event(dataset="usage_callbacks", received_at=now(), body=b"{}")])
        for job, tags in (("sync", build_range_tags([window_of(now())])), ("drain", {})):
            failures = run_job(definitions, job, instance, tags=tags)
            assert any("the folder of the demo" in failure for failure in failures), failures
        assert inbox.count_pending() == 1
    assert demo.server.requests == []


def test_the_doctor_names_it_and_reading_is_allowed(demo: Account, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [d.found for d in run_diagnosis(demo.environ, demo.path, clock=now) if d.state is State.WRONG]
    assert "the folder of the demo" in wrong[0]
    assert cli.run(["publish"]) == cli.run(["sql", "SELECT 1"]) == 0
    assert demo.server.requests == []
    assert "error" not in capsys.readouterr().err


def test_generated_records_cannot_enter_another_folder(account: Account) -> None:
    fold(account.folder, response([call()], 1))
    environ = {**account.environ, DEMO: "true"}
    settings = load_settings(environ, account.path)
    with pytest.raises(SettingsError, match="may hold records of an account"):
        prepare_folder(settings)
    with pytest.raises(SettingsError, match="may hold records of an account"):
        sync(settings, environ=environ, progress=Progress(), clock=now)
    assert account.server.requests == []
    assert not open_folder(settings).is_of_demo


def test_the_demo_syncs_into_its_folder(demo: Account) -> None:
    environ = {**demo.environ, DEMO: "true"}
    settings = load_settings(environ, demo.path)
    with dg.DagsterInstance.ephemeral() as instance:
        report = sync(settings, environ=environ, progress=Progress(), clock=now, instance=instance, publishes=False)
    assert report.failures == []
    assert report.datasets["usage"].new > 0
    assert os.environ.get(DEMO) is None
