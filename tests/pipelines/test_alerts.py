"""Alerts: content, recipients and frequency, without secrets or personal data."""

import base64
import logging
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipelines import cli
from pipelines.alerts import Alert, AlertFailed, describe_run, send_alert
from pipelines.commands.failure_alert import alert_on_failure
from pipelines.defs.build import build_definitions
from pipelines.defs.partitions import FINDINGS_TAG, build_range_tags
from pipelines.runs.account_jobs import run_job
from pipelines.settings import Settings, SettingsError, load_settings
from pipelines.warehouse_folder import open_folder
from tests.support.account import Account, now
from tests.support.alert_servers import AlertServer, run_mail_server, run_webhook
from tests.support.raw_responses import at, call, fold, response
from tests.support.scripted_server import ScriptedServer, drip, write_head
from warehouse.windows import window_of

ALERT = Alert("it failed", "because")


@pytest.fixture
def hook() -> Iterator[AlertServer]:
    with run_webhook() as box:
        yield box


@pytest.fixture
def mail() -> Iterator[AlertServer]:
    with run_mail_server() as box:
        yield box


def build_settings(path: Path, **environ: str) -> Settings:
    return load_settings({"IPLUM_START_DATE": "2023-03-01", **environ}, path)


def build_mail_variables(box: AlertServer) -> dict[str, str]:
    return {
        "IPLUM_ALERT_SMTP": box.url,
        "IPLUM_ALERT_FROM": "iplum@clinic.example",
        "IPLUM_ALERT_TO": "it@clinic.example, boss@clinic.example",
    }


def test_an_alert_is_sent_to_the_webhook_and_by_mail_with_retries(
    hook: AlertServer, mail: AlertServer, tmp_path: Path
) -> None:
    hook.refuse = mail.refuse = 2
    settings = build_settings(tmp_path, IPLUM_ALERT_WEBHOOK=hook.url, **build_mail_variables(mail))
    send_alert(ALERT, settings.alerts, sleep=lambda _: None)
    assert hook.received == [{"text": "it failed\nbecause"}]
    *logins, text = mail.received
    assert base64.b64decode(logins[0].split()[-1]) == b"\0iplum\0c4nary pass"
    assert len([line for line in mail.received if "Subject" in line]) == 1, "a failed QUIT does not send the mail again"
    assert "Subject: it failed" in text
    assert "To: it@clinic.example, boss@clinic.example" in text
    assert text.rstrip().endswith("because")


def test_a_host_that_sends_a_byte_at_a_time_ends_at_the_deadline(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nX-Slow: "
    for drops in (drip(head, b"a", every=0.02), drip(b"", b"2", every=0.02)):
        with ScriptedServer(drops) as server:
            settings = build_settings(tmp_path, IPLUM_ALERT_WEBHOOK=f"{server.url}/c4nary")
            began = time.monotonic()
            with pytest.raises(AlertFailed, match=r"within 0\.3 s") as caught:
                send_alert(ALERT, settings.alerts, sleep=lambda _: None, seconds=0.3)
            assert time.monotonic() - began < 3
            assert "c4nary" not in str(caught.value)


def test_a_mail_server_that_sends_a_byte_at_a_time_ends_at_the_deadline(tmp_path: Path) -> None:
    with dripping_mail_server() as port:
        variables = {"IPLUM_ALERT_SMTP": f"smtp://127.0.0.1:{port}", "IPLUM_ALERT_FROM": "a@b.example"}
        settings = build_settings(tmp_path, **variables, IPLUM_ALERT_TO="c@d.example")
        with pytest.raises(AlertFailed, match=r"within 0\.3 s"):
            send_alert(ALERT, settings.alerts, sleep=lambda _: None, seconds=0.3)


def test_a_response_is_an_alert_sent_whatever_its_body(tmp_path: Path) -> None:
    with ScriptedServer(drip(write_head(200, length=None), b"a", every=0.02)) as server:
        settings = build_settings(tmp_path, IPLUM_ALERT_WEBHOOK=server.url)
        send_alert(ALERT, settings.alerts, sleep=lambda _: None, seconds=10)
    assert len(server.received) == 1


@contextmanager
def dripping_mail_server() -> Iterator[int]:
    stop = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=greet, args=(connection,), daemon=True).start()

    def greet(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while not stop.wait(0.02):
                connection.sendall(b"2")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_failing_webhook_does_not_prevent_the_mail(hook: AlertServer, mail: AlertServer, tmp_path: Path) -> None:
    hook.refuse = 9
    settings = build_settings(tmp_path, IPLUM_ALERT_WEBHOOK=hook.url, **build_mail_variables(mail))
    with pytest.raises(AlertFailed, match=r"webhook: HTTP 503"):
        send_alert(ALERT, settings.alerts, sleep=lambda _: None)
    assert hook.attempts == 3
    assert "because" in mail.received[-1]


def test_logs_errors_and_reprs_contain_no_secret(
    hook: AlertServer, mail: AlertServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hook.refuse = mail.refuse = 9
    recipients = {"IPLUM_ALERT_WEBHOOK": hook.url, **build_mail_variables(mail)}
    for changes in (
        {},
        {"IPLUM_ALERT_WEBHOOK": "http://127.0.0.1:1/c4nary", "IPLUM_ALERT_SMTP": "smtp://c4nary@[::1]:1"},
    ):
        settings = build_settings(tmp_path, **{**recipients, **changes})
        with pytest.raises(AlertFailed) as caught:
            send_alert(ALERT, settings.alerts, sleep=lambda _: None)
        assert "webhook" in str(caught.value)
        assert "by mail" in str(caught.value)
        assert caught.value.__cause__ is None
        assert "c4nary" not in f"{caught.value!r} {caught.value.__context__!r} {settings!r} {settings.alerts!r}"
        assert "clinic.example" not in f"{caught.value!r} {settings!r} {settings.alerts!r}"
    assert "c4nary" not in caplog.text


@pytest.mark.parametrize(
    "environ",
    [
        {"IPLUM_ALERT_WEBHOOK": "http://hooks.example/c4nary"},
        {"IPLUM_ALERT_WEBHOOK": "hooks.example/c4nary"},
        {"IPLUM_ALERT_WEBHOOK": "https://hooks.example/c4nary x"},
        {"IPLUM_ALERT_SMTP": "mail://c4nary"},
        {"IPLUM_ALERT_SMTP": "smtp://c4nary@host:port"},
        {"IPLUM_ALERT_SMTP": "smtp://host"},
        {"IPLUM_ALERT_SMTP": "smtp://host", "IPLUM_ALERT_TO": "a@b.example"},
        {"IPLUM_ALERT_TO": "c4nary"},
        {"IPLUM_ALERT_FROM": "a@b.example, c@d.example"},
        {"IPLUM_ALERT_AFTER_HOURS": "0"},
    ],
    ids=str,
)
def test_an_invalid_alert_setting_is_reported_by_name_without_its_value(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    with pytest.raises(SettingsError, match=r"^IPLUM_ALERT_[A-Z_]+ ") as caught:
        build_settings(tmp_path, **environ)
    if "TO" not in str(environ):
        assert "c4nary" not in str(caught.value)


class Daemon:
    """Evaluates one sensor repeatedly, as Dagster's daemon does."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance, name: str, now: datetime) -> None:
        self.settings, self.instance, self.name, self.now = settings, instance, name, now
        self.cursor: str | None = None

    def tick(self) -> None:
        definitions = build_definitions(self.settings, clock=lambda: self.now)
        context = dg.build_sensor_context(instance=self.instance, definitions=definitions, cursor=self.cursor)
        self.cursor = definitions.resolve_sensor_def(self.name).evaluate_tick(context).cursor


def test_alert_sensors_run_only_if_a_recipient_is_configured(tmp_path: Path, hook: AlertServer) -> None:
    for name in ("failure_alert", "audit_alert", "freshness_alert"):
        off = build_definitions(build_settings(tmp_path)).resolve_sensor_def(name)
        on = build_definitions(build_settings(tmp_path, IPLUM_ALERT_WEBHOOK=hook.url)).resolve_sensor_def(name)
        assert off.default_status == dg.DefaultSensorStatus.STOPPED
        assert on.default_status == dg.DefaultSensorStatus.RUNNING
        assert on.description


def test_repeated_failures_send_one_alert_per_day_until_a_run_succeeds(tmp_path: Path, hook: AlertServer) -> None:
    settings = build_settings(tmp_path, IPLUM_ALERT_WEBHOOK=hook.url)
    outcomes = {"fails": True}

    @dg.op
    def write() -> None:
        if outcomes["fails"]:
            raise dg.Failure(f"can't write {settings.data}/warehouse.duckdb; fix it")

    @dg.job
    def publish() -> None:
        write()

    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(settings, instance, "failure_alert", datetime.now(UTC))
        daemon.tick()

        def run(*, fails: bool) -> int:
            outcomes["fails"] = fails
            publish.execute_in_process(instance=instance, raise_on_error=False)
            daemon.tick()
            return len(hook.received)

        assert [run(fails=True) for _ in range(3)] == [1, 1, 1]
        assert hook.received[0]["text"].splitlines() == [
            "iPlum warehouse, account default: publish failed",
            "can't write IPLUM_DATA/warehouse.duckdb; fix it",
        ], "the path of the data folder is replaced, as it can contain a name"
        assert run(fails=False) == 1
        assert run(fails=True) == 2, "a failure after a success is reported"
        assert run(fails=True) == 2
        daemon.now += timedelta(days=1)
        assert run(fails=True) == 3, "a failure that persists is reported again the next day"


def test_a_run_that_a_person_stopped_is_not_alerted(tmp_path: Path, hook: AlertServer) -> None:
    """Dagster first records a failure."""

    @dg.op
    def wait() -> None:
        raise dg.Failure("interrupted")

    @dg.job
    def publish() -> None:
        wait()

    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(build_settings(tmp_path, IPLUM_ALERT_WEBHOOK=hook.url), instance, "failure_alert", now())
        daemon.tick()
        result = publish.execute_in_process(instance=instance, raise_on_error=False)
        instance.report_run_canceled(result.dagster_run)
        daemon.tick()
    assert hook.received == []


def test_the_alert_for_a_failed_sync_names_its_windows_and_contains_no_secret(
    account: Account, hook: AlertServer
) -> None:
    account.changes["IPLUM_ALERT_WEBHOOK"] = hook.url
    account.set_options(usage_permission=False)
    settings, window = account.settings, window_of(account.created_at)
    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(settings, instance, "failure_alert", account.created_at)
        daemon.tick()
        assert run_job(build_definitions(settings), "sync", instance, tags=build_range_tags([window])) != []
        daemon.tick()
    (alert,) = hook.received
    assert f"sync failed (windows {window.key} to {window.key})" in alert["text"]
    assert "HTTP 403" in alert["text"]
    for secret in (*list(account.environ.values())[:3], "c4nary"):
        assert secret not in alert["text"]


def test_an_audit_that_finds_something_is_alerted_once(account: Account, hook: AlertServer) -> None:
    account.changes["IPLUM_ALERT_WEBHOOK"] = hook.url
    account.set_options(recording_plan=False)
    settings, window = account.settings, window_of(account.created_at - timedelta(days=15))
    definitions = build_definitions(settings, clock=lambda: account.created_at)

    def audit(daemon: Daemon) -> int:
        tags, selection = build_range_tags([window]), [dg.AssetKey("raw_usage"), dg.AssetKey("usage")]
        assert run_job(definitions, "audit", daemon.instance, tags=tags, selection=selection) == []
        daemon.tick()
        daemon.tick()
        return len(hook.received)

    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(settings, instance, "audit_alert", account.created_at)
        daemon.tick()
        assert run_job(definitions, "sync", instance, tags=build_range_tags([window])) == []
        daemon.tick()
        assert hook.received == [], "a sync is not an audit"
        assert audit(daemon) == 0, "nothing was missing"
        shutil.rmtree(account.folder.root / "lake")
        shutil.rmtree(account.folder.root / "raw")
        assert audit(daemon) == 1
        assert audit(daemon) == 1
    subject, found, fix = hook.received[0]["text"].splitlines()
    assert (
        subject
        == f"iPlum warehouse, account default: the audit found differences (windows {window.key} to {window.key})"
    )
    assert re.fullmatch(r"usage: [1-9]\d* missing here, 0 changed at iPlum, 0 deleted at iPlum", found)
    assert "IPLUM_VERIFY=always" in fix


def test_an_audit_that_fails_says_what_it_found(tmp_path: Path, hook: AlertServer) -> None:
    settings = build_settings(tmp_path, IPLUM_ALERT_WEBHOOK=hook.url)

    @dg.op
    def fail_late() -> None:
        raise dg.Failure("usage: 1 window failed")

    @dg.job(tags={f"{FINDINGS_TAG}usage": "3 missing here"})
    def audit() -> None:
        fail_late()

    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(settings, instance, "failure_alert", now())
        daemon.tick()
        audit.execute_in_process(instance=instance, raise_on_error=False)
        daemon.tick()
    assert hook.received[0]["text"].splitlines()[1:] == [
        "usage: 1 window failed",
        "the audit of usage found: 3 missing here",
    ]


def test_the_alert_for_an_unexpected_error_contains_only_its_type(tmp_path: Path, hook: AlertServer) -> None:
    """The message of such an error can contain data of a row."""

    @dg.op
    def read_row() -> None:
        raise ValueError("+14081231234 is not a number")

    @dg.job
    def fail() -> None:
        read_row()

    settings = build_settings(tmp_path, IPLUM_ALERT_WEBHOOK=hook.url)
    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(settings, instance, "failure_alert", datetime.now(UTC))
        daemon.tick()
        fail.execute_in_process(instance=instance, raise_on_error=False)
        daemon.tick()
    (alert,) = hook.received
    assert "ValueError" in alert["text"]
    assert "1408" not in alert["text"]


def test_stale_data_is_reported_once_until_it_is_current_again(tmp_path: Path, hook: AlertServer) -> None:
    settings = build_settings(tmp_path, IPLUM_ALERT_WEBHOOK=hook.url, IPLUM_ALERT_AFTER_HOURS="30")
    folder = open_folder(settings)
    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(settings, instance, "freshness_alert", at(29))
        daemon.tick()
        open_window = window_of(at(0))
        fold(folder, response([], 0, window=open_window), window=open_window)
        daemon.tick()
        assert hook.received == []
        for hours in (31, 32, 60):
            daemon.now = at(hours)
            daemon.tick()
        (alert,) = hook.received
        assert "account default: no data after 2023-04-01 00:00 UTC" in alert["text"]
        fold(folder, response([call()], 61, window=open_window), window=open_window)
        for hours in (61, 92):
            daemon.now = at(hours)
            daemon.tick()
        assert len(hook.received) == 2


def test_a_command_that_fails_without_a_terminal_sends_an_alert(
    account: Account, hook: AlertServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (account.path / "file").touch()
    monkeypatch.setenv("IPLUM_DATA", str(account.path / "file"))
    monkeypatch.setenv("IPLUM_ALERT_WEBHOOK", hook.url)
    assert cli.run(["sync"]) == 1
    (alert,) = hook.received
    assert "account default: sync failed" in alert["text"]
    assert "a file is in the place of a folder" in alert["text"]

    with alert_on_failure(build_settings(account.path, IPLUM_ALERT_WEBHOOK=hook.url), "archive") as failures:
        failures.append("usage: 1 window failed")
    assert hook.received[1:] == [{"text": "iPlum warehouse, account default: archive failed\nusage: 1 window failed"}]

    hook.refuse = 99
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert cli.run(["archive"]) == 1
    assert "error: cannot send the alert to the webhook" in capsys.readouterr().err


def test_verify_sends_an_alert_for_damaged_files(
    tmp_path: Path, hook: AlertServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = build_settings(tmp_path)
    folder = open_folder(settings)
    fold(folder, response([call("a")], 0))
    monkeypatch.setenv("IPLUM_DATA", str(settings.data))
    monkeypatch.setenv("IPLUM_ALERT_WEBHOOK", hook.url)
    assert cli.run(["publish"]) == 0
    assert cli.run(["verify", "--offline"]) == 0
    assert hook.received == [], "no alert is sent without a failure"

    (lake_file,) = tmp_path.glob("data/lake/usage/**/*.parquet")
    lake_file.unlink()
    assert cli.run(["verify", "--offline"]) == 1
    (alert,) = hook.received
    assert "account default: verify failed\nthe lake file of usage" in alert["text"]
    assert "Run 'iplum publish'" in alert["text"]


def test_an_alert_lists_at_most_twenty_failures(tmp_path: Path) -> None:
    alert = describe_run(
        "verify", "", [f"file {number} is damaged" for number in range(1, 10_001)], build_settings(tmp_path)
    )
    assert alert.text.splitlines()[19:] == ["file 20 is damaged", "and 9,980 more; see the run's output"]


def test_records_that_cannot_be_read_are_alerted_once(tmp_path: Path, hook: AlertServer) -> None:
    settings = build_settings(tmp_path, IPLUM_ALERT_WEBHOOK=hook.url)
    folder = open_folder(settings)
    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(settings, instance, "data_alert", at(29))
        fold(folder, response([call("a")], 1))
        daemon.tick()
        assert hook.received == [], "every record can be read"
        fold(folder, response([call("a"), {**call("b"), "recordId": ""}], 2))
        daemon.tick()
        daemon.tick()
    (alert,) = hook.received
    assert "usage of account default: 1 record without a readable ID" in alert["text"]
    assert "iplum verify" in alert["text"]
