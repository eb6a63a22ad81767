"""`iplum doctor`: its findings, exit codes and number of requests, without secrets in the output or files written."""

import json
from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iplum_resource.standin.options import Options
from iplum_resource.standin.server import running
from pipelines import cli
from pipelines.dagster_home import open_instance
from pipelines.doctor import run_diagnosis
from pipelines.doctor.api import find_earliest
from pipelines.doctor.diagnosis import Diagnosis, State, choose_exit_code
from pipelines.doctor.machine import diagnose_snapshot
from tests.support.account import Account, now
from tests.support.alert_servers import run_webhook
from tests.support.raw_responses import call, fold, response
from warehouse.snapshot.publish import publish
from warehouse.windows import window_of


def diagnose(account: Account, **changes: str) -> list[Diagnosis]:
    return list(run_diagnosis({**account.environ, **changes}, account.path, clock=now))


def most_severe(findings: list[Diagnosis]) -> Mapping[str, Diagnosis]:
    """Return the most severe line per name."""
    order = [State.OK, State.SKIPPED, State.WARNING, State.FAILED, State.WRONG]
    return {finding.name: finding for finding in sorted(findings, key=lambda finding: order.index(finding.state))}


def test_a_new_account_passes_and_no_file_is_created(account: Account) -> None:
    findings = diagnose(account)
    assert choose_exit_code(findings) == 0
    assert {v.name for v in findings if v.state is not State.OK} == {"data"}, "no window has been pulled"
    assert len(account.server.requests) <= 20
    assert {request.status for request in account.server.requests} == {200, 400}, "400 for two unknown record ids"
    types = [r.body["Usage"] for r in account.server.requests if r.body and "," not in r.body.get("Usage", ",")]
    assert types == list(account.settings.usage_types), "one request per usage type"
    assert list(account.path.iterdir()) == []


def test_a_wrong_key_causes_one_request_and_is_distinguished_from_a_wrong_clock(account: Account) -> None:
    findings = most_severe(diagnose(account, IPLUM_SECRET_KEY="c4nary"))
    assert len(account.server.requests) == 1
    assert findings["clock"].state is State.OK
    assert findings["signature"].state is State.FAILED
    assert "API & Call Backs" in findings["signature"].fix
    assert "c4nary" not in str(findings)
    assert findings["data folder"].state is State.OK, "local checks still run"

    account.set_options(clock_offset=timedelta(hours=1))
    findings = most_severe(diagnose(account))
    assert len(account.server.requests) == 1
    assert findings["clock"].state is State.FAILED
    assert "behind" in findings["clock"].found
    assert "NTP" in findings["signature"].fix


def test_an_unknown_host_is_a_connection_failure(account: Account) -> None:
    findings = most_severe(diagnose(account, IPLUM_BASE_URL="https://nowhere.invalid"))
    assert "host name" in findings["connection"].found
    assert "signature" not in findings


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
    ids=["no recording plan", "no usage permission", "one type rejected", "all types rejected", "permanent HTTP 500"],
)
def test_each_permission_is_reported_on_its_own_line(
    account: Account, options: dict[str, object], expected: dict[str, State]
) -> None:
    account.set_options(**options)
    findings = diagnose(account)
    assert {name: most_severe(findings)[name].state for name in expected} == expected
    assert all(v.fix for v in findings if v.state in {State.FAILED, State.WARNING})
    assert choose_exit_code(findings) == (State.FAILED in expected.values())
    assert len(account.server.requests) <= 20


def test_the_first_available_day_is_found_with_few_requests(account: Account) -> None:
    first = account.created_at - timedelta(days=200)
    account.set_options(first_day=first.date())
    finding = most_severe(diagnose(account, IPLUM_START_DATE="2020-01-01"))["history"]
    assert window_of(first).key in finding.found
    assert account.count_requests("/usage/getusage") <= len(account.settings.usage_types) + 11
    assert "IPLUM_START_DATE" in most_severe(diagnose(account))["history"].found, (
        "the history starts at or before IPLUM_START_DATE"
    )


@given(st.integers(0, 300), st.integers(1, 300))
def test_find_earliest_returns_the_first_step_with_data(empty: int, full: int) -> None:
    steps = list(range(empty + full))
    tested: list[int] = []

    def has_data(step: int) -> bool:
        tested.append(step)
        return step >= empty

    assert find_earliest(steps, has_data, max_requests=11) == empty
    assert len(tested) <= 11
    assert find_earliest(steps, lambda _: False, max_requests=11) is None


@pytest.mark.parametrize(
    ("changes", "variable"),
    [
        ({"IPLUM_TIMEZONE": "Mars"}, "IPLUM_TIMEZONE"),
        ({"IPLUM_SECRET_KEY": ""}, "IPLUM_SECRET_KEY"),
        ({"IPLUM_CALLBACK_TOKEN": "short"}, "IPLUM_CALLBACK_TOKEN"),
    ],
)
def test_an_invalid_setting_exits_with_2_without_a_request(
    account: Account, changes: dict[str, str], variable: str
) -> None:
    findings = diagnose(account, **changes)
    assert choose_exit_code(findings) == 2
    assert any(variable in finding.found for finding in findings if finding.state is State.WRONG)
    assert account.server.requests == []


def test_suspicious_settings_are_warnings(account: Account) -> None:
    (account.path / ".env").touch(mode=0o644)
    warnings = [
        finding for finding in diagnose(account, IPLUM_START_DAY="2024-01-01") if finding.state is State.WARNING
    ]
    assert {finding.fix for finding in warnings} >= {
        "Did you mean IPLUM_START_DATE?",
        f"Run: chmod 600 {account.path / '.env'}",
    }


def test_an_unusable_data_folder_is_a_failure(account: Account) -> None:
    (account.path / "file").touch()
    finding = most_severe(diagnose(account, IPLUM_DATA=str(account.path / "file")))["data folder"]
    assert finding.state is State.FAILED
    assert "a file is in the place of a folder" in finding.found


def test_an_existing_data_folder_and_dagster_history_are_checked(account: Account) -> None:
    fold(account.folder, response([call()], 1))
    with open_instance(account.settings):
        account.folder.root.chmod(0o755)
    findings = most_severe(diagnose(account))
    assert f"chmod 700 {account.folder.root}" in findings["data folder"].fix
    assert findings["data"].state is State.WARNING
    assert "pulled up to 2023-03-26" in findings["data"].found
    assert findings["Dagster"].state is State.OK
    assert findings["daily sync"].state is State.OK
    assert "no daemon has run" in findings["daemon"].found

    database = account.settings.state / "dagster" / "history" / "runs.db"
    database.write_bytes(b"no database, " * 100)
    assert most_severe(diagnose(account))["Dagster"].state is State.FAILED


def test_a_foreign_wal_and_an_unreadable_warehouse_are_named(account: Account) -> None:
    assert list(diagnose_snapshot(account.settings)) == []
    publish(account.folder)
    assert [line.state for line in diagnose_snapshot(account.settings)] == [State.OK]
    wal = account.folder.snapshot.with_name("warehouse.duckdb.wal")
    wal.touch()
    (line,) = diagnose_snapshot(account.settings)
    assert (line.state, wal.name in line.found, "'iplum publish'" in line.fix) == (State.WARNING, True, True)
    wal.unlink()
    account.folder.snapshot.write_bytes(b"nothing")
    (line,) = diagnose_snapshot(account.settings)
    assert (line.state, line.fix) == (State.FAILED, "Run 'iplum publish --full'.")


def test_records_that_cannot_be_read_are_a_warning(account: Account) -> None:
    fold(account.folder, response([call("a"), {**call("b"), "recordId": None}], 1))
    finding = most_severe(diagnose(account))["records"]
    assert finding.state is State.WARNING
    assert "1 record without a readable ID" in finding.found
    assert "iplum verify" in finding.fix


def test_each_account_of_accounts_toml_is_checked_with_its_own_keys(account: Account) -> None:
    """The keys of IPLUM_ACCESS_KEY and its companions, which no account uses, are wrong."""
    with running(Options(access_key="WESTKEY", secret_key="west-secret", login_id="west@clinic.example")) as west:
        (account.path / "accounts.toml").write_text(
            "\n".join(
                f"[{name}]\naccess_key = '{name.upper()}_KEY'\nsecret_key = '{name.upper()}_SECRET'\n"
                f"login_id = '{name.upper()}_LOGIN'\nbase_url = '{url}'\n"
                for name, url in (("east", account.server.url), ("west", west.url))
            )
        )
        keys = {
            "IPLUM_ACCESS_KEY": "c4nary",
            "IPLUM_SECRET_KEY": "c4nary",
            "IPLUM_LOGIN_ID": "c4nary@clinic.example",
            "EAST_KEY": "STANDINACCESSKEY",
            "EAST_SECRET": "standin-secret",
            "EAST_LOGIN": "admin@clinic.example",
            "WEST_KEY": "WESTKEY",
            "WEST_SECRET": "west-secret",
            "WEST_LOGIN": "west@clinic.example",
        }
        assert list_signatures(account, keys) == [(State.OK, "east:"), (State.OK, "west:")]
        assert account.server.requests
        assert west.requests
        for wrong in ("WEST_KEY", "WEST_SECRET", "WEST_LOGIN"):
            found = list_signatures(account, {**keys, wrong: "c4nary@clinic.example"})
            assert found == [(State.OK, "east:"), (State.FAILED, "west:")], wrong
        assert [v.found for v in diagnose(account, **{**keys, "WEST_SECRET": ""}) if v.state is State.WRONG] == [
            "west: WEST_SECRET is not set: add it to .env (see .env.example) or to the environment"
        ]


def list_signatures(account: Account, keys: Mapping[str, str]) -> list[tuple[State, str]]:
    return [(line.state, line.found[:5]) for line in diagnose(account, **keys) if line.name == "signature"]


def test_a_test_alert_is_sent_only_with_try_alert(account: Account) -> None:
    with run_webhook() as hook:
        with_webhook = {**account.environ, "IPLUM_ALERT_WEBHOOK": hook.url}
        assert "--try-alert" in most_severe(diagnose(account, IPLUM_ALERT_WEBHOOK=hook.url))["alerts"].found
        assert hook.received == []
        tried = most_severe(list(run_diagnosis(with_webhook, account.path, clock=now, try_alert=True)))
        assert tried["alerts"].state is State.OK
        assert "test alert" in hook.received[0]["text"]
    without_webhook = most_severe(list(run_diagnosis(account.environ, account.path, clock=now, try_alert=True)))
    assert without_webhook["alerts"].state is State.WRONG


def test_the_command_prints_lines_or_json(
    account: Account, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("OK    home                 ")
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["OK", "configuration"],
        ["OK", "credentials"],
        ["OK", "clock"],
    ]
    monkeypatch.setenv("IPLUM_SECRET_KEY", "c4nary-secret")
    assert cli.run(["doctor", "--json"]) == 1
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert result["ok"] is False
    assert [line["name"] for line in result["lines"] if line["state"] == "failed"] == ["signature"]
    assert "c4nary" not in shown.out + shown.err
    monkeypatch.setenv("IPLUM_LOOKBACK_DAYS", "many")
    assert cli.run(["doctor", "--json"]) == 2
    assert account.server.requests
