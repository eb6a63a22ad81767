"""The doctor: each line for what it is meant to find, few requests, no secret, and nothing left behind."""

import json
from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import cli
from pipelines.dagster_home import open_instance
from pipelines.doctor import run_diagnosis
from pipelines.doctor.api import find_earliest
from pipelines.doctor.diagnosis import Diagnosis, State, choose_exit_code
from tests.support.account import Account, now
from tests.support.mailboxes import webhook
from tests.support.raw_responses import answer, call, fold
from warehouse.windows import window_of


def look(account: Account, **changes: str) -> list[Diagnosis]:
    return list(run_diagnosis({**account.environ, **changes}, account.path, clock=now))


def read(verdicts: list[Diagnosis]) -> Mapping[str, Diagnosis]:
    """Return the most severe line per name."""
    order = [State.OK, State.SKIPPED, State.WARNING, State.FAILED, State.WRONG]
    return {verdict.name: verdict for verdict in sorted(verdicts, key=lambda verdict: order.index(verdict.state))}


def test_a_new_account_that_can_sync_is_well_and_nothing_is_made(account: Account) -> None:
    verdicts = look(account)
    assert choose_exit_code(verdicts) == 0
    assert {v.name for v in verdicts if v.state is not State.OK} == {"data"}, "nothing was pulled yet"
    assert len(account.server.requests) <= 20
    assert {request.status for request in account.server.requests} == {200, 400}, "two records that don't exist"
    types = [r.body["Usage"] for r in account.server.requests if r.body and "," not in r.body.get("Usage", ",")]
    assert types == list(account.settings.usage_types), "each type alone"
    assert list(account.path.iterdir()) == []


def test_a_wrong_key_costs_one_request_and_is_told_from_a_wrong_clock(account: Account) -> None:
    verdicts = read(look(account, IPLUM_SECRET_KEY="c4nary"))
    assert len(account.server.requests) == 1
    assert verdicts["clock"].state is State.OK
    assert verdicts["signature"].state is State.FAILED
    assert "API & Call Backs" in verdicts["signature"].fix
    assert "c4nary" not in str(verdicts)
    assert verdicts["data folder"].state is State.OK, "this machine is looked at all the same"

    account.play(clock_offset=timedelta(hours=1))
    verdicts = read(look(account))
    assert len(account.server.requests) == 1
    assert verdicts["clock"].state is State.FAILED
    assert "behind" in verdicts["clock"].found
    assert "NTP" in verdicts["signature"].fix


def test_an_unknown_host_is_a_matter_of_the_connection(account: Account) -> None:
    verdicts = read(look(account, IPLUM_BASE_URL="https://nowhere.invalid"))
    assert "host name" in verdicts["connection"].found
    assert "signature" not in verdicts


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"recording_plan": False}, {"recordings": State.WARNING, "recording files": State.WARNING}),
        ({"usage_permission": False}, {"usage": State.FAILED, "contents": State.WARNING, "recordings": State.OK}),
        (
            {"refuse_types": frozenset({"iplumcall"})},
            {"usage iplumcall": State.WARNING, "usage fax": State.OK, "signature": State.OK},
        ),
        (
            {"refuse_types": frozenset({"iPlumtext", "iplumcall", "externalcall", "externaltext", "fax"})},
            {"usage": State.FAILED, "recordings": State.OK},
        ),
        ({"fail_500": 1.0}, {"signature": State.FAILED, "recordings": State.FAILED, "contents": State.FAILED}),
    ],
    ids=["no plan", "no usage", "one type refused", "every type refused", "500 for good"],
)
def test_each_permission_has_its_line(account: Account, options: dict[str, object], expected: dict[str, State]) -> None:
    account.play(**options)
    verdicts = look(account)
    assert {name: read(verdicts)[name].state for name in expected} == expected
    assert all(v.fix for v in verdicts if v.state in {State.FAILED, State.WARNING})
    assert choose_exit_code(verdicts) == (State.FAILED in expected.values())
    assert len(account.server.requests) <= 20


def test_the_first_day_that_can_be_had_is_found_with_few_requests(account: Account) -> None:
    first = account.began - timedelta(days=200)
    account.play(first_day=first.date())
    verdict = read(look(account, IPLUM_START_DATE="2020-01-01"))["history"]
    assert window_of(first).key in verdict.found
    assert account.asked("/usage/getusage") <= len(account.settings.usage_types) + 11
    assert "IPLUM_START_DATE" in read(look(account))["history"].found, "from the first day on there are rows"


@given(st.integers(0, 300), st.integers(1, 300))
def test_the_search_finds_the_first_that_holds_something(empty: int, full: int) -> None:
    steps = list(range(empty + full))
    asked: list[int] = []

    def holds(step: int) -> bool:
        asked.append(step)
        return step >= empty

    assert find_earliest(steps, holds, max_requests=11) == empty
    assert len(asked) <= 11
    assert find_earliest(steps, lambda _: False, max_requests=11) is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"IPLUM_TIMEZONE": "Mars"}, "IPLUM_TIMEZONE"),
        ({"IPLUM_SECRET_KEY": ""}, "IPLUM_SECRET_KEY"),
        ({"IPLUM_CALLBACK_TOKEN": "short"}, "IPLUM_CALLBACK_TOKEN"),
    ],
)
def test_a_wrong_setting_is_2_and_asks_nobody(account: Account, changes: dict[str, str], named: str) -> None:
    verdicts = look(account, **changes)
    assert choose_exit_code(verdicts) == 2
    assert any(named in verdict.found for verdict in verdicts if verdict.state is State.WRONG)
    assert account.server.requests == []


def test_what_is_odd_about_the_settings_is_said(account: Account) -> None:
    (account.path / ".env").touch(mode=0o644)
    found = [verdict for verdict in look(account, IPLUM_START_DAY="2024-01-01") if verdict.state is State.WARNING]
    assert {verdict.fix for verdict in found} >= {
        "Did you mean IPLUM_START_DATE?",
        f"Run: chmod 600 {account.path / '.env'}",
    }


def test_a_folder_that_cannot_be_written_is_said(account: Account) -> None:
    (account.path / "file").touch()
    verdict = read(look(account, IPLUM_DATA=str(account.path / "file")))["data folder"]
    assert verdict.state is State.FAILED
    assert "a file is in the place of a folder" in verdict.found


def test_folder_data_and_dagster_are_looked_at_once_they_are_there(account: Account) -> None:
    fold(account.folder, answer([call()], 1))
    with open_instance(account.settings):
        account.folder.root.chmod(0o755)
    verdicts = read(look(account))
    assert f"chmod 700 {account.folder.root}" in verdicts["data folder"].fix
    assert verdicts["data"].state is State.WARNING
    assert "pulled up to 2023-03-26" in verdicts["data"].found
    assert verdicts["Dagster"].state is State.OK
    assert verdicts["daily sync"].state is State.OK
    assert "no daemon has run" in verdicts["daemon"].found

    database = account.settings.state / "dagster" / "history" / "runs.db"
    database.write_bytes(b"no database, " * 100)
    assert read(look(account))["Dagster"].state is State.FAILED


def test_each_of_many_accounts_has_its_lines(account: Account) -> None:
    (account.path / "accounts.toml").write_text(
        """
        [east]
        access_key = "IPLUM_ACCESS_KEY"
        secret_key = "IPLUM_SECRET_KEY"
        login_id = "IPLUM_LOGIN_ID"
        [west]
        access_key = "WEST_KEY"
        secret_key = "WEST_SECRET"
        login_id = "IPLUM_LOGIN_ID"
        """
    )
    verdicts = look(account, WEST_KEY="STANDINACCESSKEY", WEST_SECRET="c4nary")
    assert [(v.state, v.found[:5]) for v in verdicts if v.name == "signature"] == [
        (State.OK, "east:"),
        (State.FAILED, "west:"),
    ]
    assert [v.found for v in look(account, WEST_KEY="STANDINACCESSKEY") if v.state is State.WRONG] == [
        "west: WEST_SECRET is not set: add it to .env (see .env.example) or to the environment"
    ]


def test_an_alert_is_sent_on_request_alone(account: Account) -> None:
    with webhook() as hook:
        on = {**account.environ, "IPLUM_ALERT_WEBHOOK": hook.url}
        assert "--try-alert" in read(look(account, IPLUM_ALERT_WEBHOOK=hook.url))["alerts"].found
        assert hook.received == []
        tried = read(list(run_diagnosis(on, account.path, clock=now, try_alert=True)))
        assert tried["alerts"].state is State.OK
        assert "test alert" in hook.received[0]["text"]
    off = read(list(run_diagnosis(account.environ, account.path, clock=now, try_alert=True)))
    assert off["alerts"].state is State.WRONG


def test_the_command_writes_lines_and_json(
    account: Account, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [["OK", "configuration"], ["OK", "credentials"], ["OK", "clock"]]
    monkeypatch.setenv("IPLUM_SECRET_KEY", "c4nary-secret")
    assert cli.run(["doctor", "--json"]) == 1
    shown = capsys.readouterr()
    said = json.loads(shown.out)
    assert said["ok"] is False
    assert [line["name"] for line in said["lines"] if line["state"] == "failed"] == ["signature"]
    assert "c4nary" not in shown.out + shown.err
    monkeypatch.setenv("IPLUM_LOOKBACK_DAYS", "many")
    assert cli.run(["doctor", "--json"]) == 2
    assert account.server.requests
