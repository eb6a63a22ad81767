"""Several accounts in one warehouse: accounts.toml, and the assets, resources and data of each account."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from iplum_resource.standin.options import Options
from iplum_resource.standin.server import Running, running
from pipelines.defs.build import build_definitions
from pipelines.receiver.app import Mailbox, Receiver
from pipelines.receiver.server import list_mailboxes
from pipelines.runs.sync import sync
from pipelines.settings import ACCOUNT_OPTIONS, PROJECT, SettingsError, choose_accounts, load_accounts, load_settings
from pipelines.steps.progress import Progress
from pipelines.warehouse_folder import open_folder, open_inbox
from tests.support.account import now
from tests.support.raw_responses import call, fold, response
from warehouse.raw.inbox import Event
from warehouse.windows import window_of

EAST = """
[east]
access_key = "EAST_KEY"
secret_key = "EAST_SECRET"
login_id = "EAST_LOGIN"
"""
WEST = EAST.replace("east", "west").replace("EAST", "WEST")
TODAY = datetime.now(UTC)


def write_accounts(path: Path, text: str) -> None:
    (path / "accounts.toml").write_text(text)


def test_without_accounts_toml_the_environment_defines_one_account(tmp_path: Path) -> None:
    environ = {"IPLUM_ACCOUNT": "clinic"}
    assert load_accounts(environ, tmp_path) == (load_settings(environ, tmp_path),)


def test_options_of_an_account_override_environment_variables(tmp_path: Path) -> None:
    options = """
start_date = 2025-02-03
timezone = "America/New_York"
requests_per_second = 2.5
keep_content = true
usage_types = ["fax", "externalcall"]
callback_token = "EAST_TOKEN"
"""
    write_accounts(tmp_path, EAST + options + WEST)
    environ = {"IPLUM_TIMEZONE": "Europe/Berlin", "IPLUM_START_DATE": "2024-06-01", "IPLUM_KEEP_CONTENT": "false"}
    east, west = load_accounts(environ, tmp_path)
    assert (east.account, str(east.start_date), east.time_zone) == ("east", "2025-02-03", "America/New_York")
    assert (east.requests_per_second, east.keep_content) == (2.5, True)
    assert east.usage_types == ("fax", "externalcall")
    assert (east.secrets.access_key, east.secrets.callback_token) == ("EAST_KEY", "EAST_TOKEN")
    assert (west.account, str(west.start_date), west.time_zone) == ("west", "2024-06-01", "Europe/Berlin")
    assert west.secrets.callback_token == "", "a shared token would not identify the account"
    assert east.data == west.data
    assert choose_accounts((east, west), None) == (east, west)
    assert choose_accounts((east, west), "west") == (west,)
    with pytest.raises(SettingsError, match="known are east, west"):
        choose_accounts((east, west), "north")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no account"),
        ("east = 1", "must be a table"),
        ("[east", "is not valid TOML"),
        (EAST + 'data = "elsewhere"', "unknown option 'data'"),
        (EAST + 'timezone = "Mars/Base"', r"\[east\]: IPLUM_TIMEZONE must be an IANA time zone"),
        (EAST.replace('secret_key = "EAST_SECRET"', ""), "secret_key is missing"),
        (EAST.replace("EAST_SECRET", "s3cr/t=="), "secret_key must be the name of an environment variable"),
        (EAST.replace("[east]", '["e st"]'), "IPLUM_ACCOUNT must be"),
        (EAST.replace("[east]", "[a-b]") + WEST.replace("[west]", "[a_b]"), "cannot be distinguished"),
        (EAST + WEST.replace("WEST_KEY", "EAST_KEY"), "cannot be distinguished"),
    ],
)
def test_an_invalid_file_is_rejected_without_repeating_a_secret(tmp_path: Path, text: str, message: str) -> None:
    write_accounts(tmp_path, text)
    with pytest.raises(SettingsError, match=message) as caught:
        load_accounts({}, tmp_path)
    assert "s3cr" not in str(caught.value)


def test_each_account_has_assets_schedules_and_a_resource_under_its_name(tmp_path: Path) -> None:
    write_accounts(
        tmp_path, EAST + 'timezone = "America/New_York"\nstart_date = 2025-01-02' + WEST.replace("[west]", "[we-st]")
    )
    defs = build_definitions(*load_accounts({}, tmp_path))
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    names = {"raw_usage", "usage", "raw_recordings", "recordings", "contents", "recording_files", "callbacks"}
    assert {f"{account}/{name}" for account in ("east", "we-st") for name in names} <= keys
    assert {"warehouse/usage", "marts/daily_totals", "report"} <= keys
    assert not names & keys
    for job in ("sync__2025_01_01", "sync__2024_01_01", "archive__2024_01_01", "drain", "publish"):
        assert defs.resolve_job_def(job)
    east, west = (defs.resolve_schedule_def(f"daily_sync__{name}") for name in ("east", "we_st"))
    assert (east.execution_timezone, west.execution_timezone) == ("America/New_York", "UTC")
    resources = defs.get_repository_def().get_top_level_resources()
    assert set(resources) == {"iplum__east", "iplum__we_st"}
    parents = set(defs.resolve_asset_graph().get(dg.AssetKey(["warehouse", "usage"])).parent_keys)
    assert {dg.AssetKey(["east", "usage"]), dg.AssetKey(["we-st", "callbacks"])} <= parents


@pytest.fixture
def two_servers(standin: Running) -> Iterator[tuple[Running, Running]]:
    with running(Options(access_key="WESTKEY", secret_key="west-secret", seed=2)) as other:
        yield standin, other


def test_revoked_keys_of_one_account_do_not_affect_the_sync_of_the_other(
    two_servers: tuple[Running, Running], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two_servers
    day = window_of(TODAY - timedelta(days=8)).first_day
    options = "start_date = {day}\nrequests_per_second = 1000\nbase_url = '{url}'\n"
    write_accounts(
        tmp_path, EAST + options.format(day=day, url=first.url) + WEST + options.format(day=day, url=second.url)
    )
    environ = {
        "EAST_KEY": "STANDINACCESSKEY",
        "EAST_SECRET": "standin-secret",
        "EAST_LOGIN": "admin@clinic.example",
        "WEST_KEY": "WESTKEY",
        "WEST_SECRET": "west-secret",
        "WEST_LOGIN": "admin@clinic.example",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    accounts = load_accounts(environ, tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        common: Any = {"instance": instance, "progress": Progress(), "clock": now}
        first_sync = sync(*accounts, environ=environ, publishes=False, **common)
        assert first_sync.failures == []
        assert sorted(first_sync.datasets) == ["east/recordings", "east/usage", "west/recordings", "west/usage"]
        monkeypatch.setenv("EAST_SECRET", "revoked")
        first.requests.clear()
        west_only = sync(*accounts, environ=environ, only="west", publishes=False, **common)
        assert list(west_only.datasets) == ["west/recordings", "west/usage"]
        assert first.requests == []
        environ["EAST_SECRET"] = "revoked"
        after_revocation = sync(*accounts, environ=environ, **common)
    (failure,) = after_revocation.failures
    assert failure.startswith("east: ")
    assert "401" in failure
    assert len(first.requests) == 1, "repeated requests with revoked keys could lock the account"
    assert after_revocation.datasets["west/usage"].windows > 0
    assert after_revocation.datasets["west/usage"].failed == 0
    with duckdb.connect(str(open_folder(accounts[0]).snapshot), read_only=True) as connection:
        rows = dict(connection.execute("SELECT account, count(*) FROM usage GROUP BY 1").fetchall())
    assert set(rows) == {"east", "west"}
    assert min(rows.values()) > 0


def test_runs_of_several_accounts_are_published_together_every_15_minutes(tmp_path: Path) -> None:
    write_accounts(tmp_path, EAST + WEST)
    accounts = load_accounts({}, tmp_path)
    fold(open_folder(accounts[0]), response([call()], 1))
    later = build_definitions(*accounts, clock=lambda: datetime.now(UTC) + timedelta(minutes=20))
    defs = build_definitions(*accounts, clock=lambda: datetime.now(UTC))
    with dg.DagsterInstance.ephemeral() as instance:
        assert _tick(defs, instance, "stale_snapshot") == ["publish"]
        _add_run(instance, "sync__2024_01_01", dg.DagsterRunStatus.STARTED)
        assert _tick(defs, instance, "stale_snapshot") == ["publish"], "the run of one account does not publish"
        _add_run(instance, "publish", dg.DagsterRunStatus.SUCCESS)
        assert _tick(defs, instance, "stale_snapshot") == []
        assert _tick(later, instance, "stale_snapshot") == ["publish"]


def test_each_account_drains_its_own_events(tmp_path: Path) -> None:
    write_accounts(tmp_path, EAST + WEST)
    accounts = load_accounts({}, tmp_path)
    defs = build_definitions(*accounts)
    body = json.dumps({"recordId": "a", "startTimeUTC": "2024-03-01T00:00:00Z"}).encode()
    with dg.DagsterInstance.ephemeral() as instance, open_inbox(accounts[0], open_folder(accounts[0])) as inbox:
        assert _tick(defs, instance, "callback_inbox") == []
        inbox.append([Event(account="west", dataset="usage_callbacks", received_at=TODAY, body=body)])
        assert inbox.count_pending() == 0, "the event belongs to west"
        assert _tick(defs, instance, "callback_inbox") == ["west"]
        _add_run(instance, "drain", dg.DagsterRunStatus.STARTED, **{"iplum/account": "west"})
        assert _tick(defs, instance, "callback_inbox") == []
        inbox.append([Event(dataset="usage_callbacks", received_at=TODAY, body=body)])
        assert _tick(defs, instance, "callback_inbox") == ["east"]


def test_the_token_identifies_the_account_of_a_callback(tmp_path: Path) -> None:
    write_accounts(tmp_path, EAST + 'callback_token = "EAST_TOKEN"' + WEST + 'callback_token = "WEST_TOKEN"\n')
    accounts = load_accounts({}, tmp_path)
    environ = {"EAST_TOKEN": "token-of-the-east", "WEST_TOKEN": "token-of-the-west"}
    mailboxes = list_mailboxes(accounts, environ)
    with open_inbox(accounts[0], open_folder(accounts[0])) as inbox:
        receiver = Receiver(inbox=inbox, mailboxes=mailboxes, clock=now)
        found = receiver.find_mailbox("token-of-the-west")
        assert found == Mailbox(account="west", token="token-of-the-west", keep_content=False)
        assert receiver.find_mailbox("token-of-the-north") is None
    with pytest.raises(SettingsError, match="the same callback token"):
        list_mailboxes(accounts, dict.fromkeys(environ, "token-of-the-east"))
    with pytest.raises(SettingsError, match="WEST_TOKEN must have"):
        list_mailboxes(accounts, {"EAST_TOKEN": "token-of-the-east"})
    with pytest.raises(SettingsError, match="no account"):
        list_mailboxes([replace(one, secrets=replace(one.secrets, callback_token="")) for one in accounts], {})


def _tick(defs: dg.Definitions, instance: dg.DagsterInstance, name: str) -> list[str]:
    context = dg.build_sensor_context(instance=instance, definitions=defs)
    requests = defs.resolve_sensor_def(name).evaluate_tick(context).run_requests or []
    for request in requests:
        assert all(key.path[0] == request.tags["iplum/account"] for key in request.asset_selection or [])
    return [request.tags.get("iplum/account", "publish") for request in requests]


def _add_run(instance: dg.DagsterInstance, job: str, status: dg.DagsterRunStatus, **tags: str) -> None:
    run_id = str(uuid.uuid4())
    instance.add_run(dg.DagsterRun(job_name=job, run_id=run_id, status=status, tags=tags))


def test_the_accounts_page_lists_all_options_and_its_example_is_valid(tmp_path: Path) -> None:
    page = (PROJECT / "docs" / "accounts.md").read_text()
    write_accounts(tmp_path, page.split("```")[1].removeprefix("toml\n"))
    east, west = load_accounts({}, tmp_path)
    assert (east.account, west.business_hours) == ("clinic-east", "mon-sat 08:00-18:00")
    listed = page.split("[variable](settings.md): ")[1].split(". An option")[0]
    assert [name.strip("`\n ") for name in listed.split(",")] == list(ACCOUNT_OPTIONS)


def test_a_mistyped_account_suggests_the_closest_name(tmp_path: Path) -> None:
    accounts = [replace(load_settings({}, tmp_path), account=name) for name in ("north", "south")]
    with pytest.raises(SettingsError, match=r"nroth: unknown account; .*north, south\. Did you mean 'north'\?"):
        choose_accounts(accounts, "nroth")
    with pytest.raises(SettingsError, match=r"known are north, south\.$"):
        choose_accounts(accounts, "xyz")
