"""`iplum retention` and `iplum hold`: confirmation, deletion records, legal holds, and no new pull of deleted data."""

import json
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from pipelines import cli
from pipelines.defs.build import build_definitions
from pipelines.defs.partitions import build_range_tags
from pipelines.defs.schedules import find_audit_ranges, find_due_ranges, find_first_window
from pipelines.doctor import machine
from pipelines.doctor.diagnosis import State
from pipelines.runs.account_jobs import run_job
from pipelines.runs.retention import carry_out, plan_deletion
from pipelines.steps.drain_inbox import Drain
from pipelines.warehouse_folder import open_inbox
from tests.support.account import Account, now
from tests.support.raw_responses import call, fold, response
from warehouse.outputs.report import write_report
from warehouse.raw.deletion_log import load_deletion_records, save_deletion_record
from warehouse.raw.inbox import Event
from warehouse.retention.deletion import Retention
from warehouse.snapshot.publish import publish
from warehouse.windows import StorageWindow, window_of

HELD, OTHER = "held@clinic.example", "other@clinic.example"
DELETE = ("retention", "--older-than", "12")


def run(*arguments: str) -> int:
    return cli.run(list(arguments))


def record(record_id: str, window: StorageWindow, user: str = OTHER) -> dict[str, Any]:
    return call(record_id, f"{window.first_day}T10:00:00Z", userId=user, to=user)


@pytest.fixture
def old(account: Account) -> StorageWindow:
    """The old one of two published windows. It has a record of the user HELD."""
    old, recent = window_of(account.created_at - timedelta(days=20)), window_of(account.created_at - timedelta(days=3))
    fold(account.folder, response([record("gone", old), record("held", old, HELD)], 1, window=old), window=old)
    fold(account.folder, response([record("recent", recent)], 1, window=recent), window=recent)
    publish(account.folder)
    return old


def list_published_ids(account: Account) -> list[str]:
    return [name for (name,) in account.query("SELECT record_id FROM usage ORDER BY 1")]


def test_a_deletion_is_previewed_confirmed_run_and_listed(
    account: Account, old: StorageWindow, capsys: pytest.CaptureFixture[str]
) -> None:
    write_report(account.folder)
    assert run("hold", "list") == run("retention", "--list") == 0
    assert capsys.readouterr().out == "No holds.\nNo deletions.\n"
    assert run("hold", "add", "--user", HELD, "--note", "case 17") == 0
    assert run("hold", "list") == 0
    assert f"user {HELD}, note case 17" in capsys.readouterr().out
    assert run("hold", "add", "--user", "x@clinic.example") == run("hold", "remove", "2") == 0
    capsys.readouterr()
    assert run("hold", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2"]
    assert lines[1].endswith(f"user x@clinic.example, removed on {now():%Y-%m-%d}")

    assert run(*DELETE, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert f"{old.key}  1 usage, 1 raw file\n" in shown
    assert "usage                    1 row  to delete, 1 held" in shown
    assert run(*DELETE) == 2, "without a terminal, --yes is required"
    assert load_deletion_records(account.folder, "default") == []
    assert list_published_ids(account) == ["gone", "held", "recent"]

    assert run(*DELETE, "--yes") == 0
    assert list_published_ids(account) == ["held", "recent"]
    (deletion,) = load_deletion_records(account.folder, "default")
    assert deletion.finished_at is not None
    assert HELD not in json.dumps(deletion.windows)
    capsys.readouterr()
    assert run("retention", "--list") == 0
    assert "1 row of 1 window, 1 raw file, 0 media files; finished" in capsys.readouterr().out
    assert run(*DELETE, "--yes") == 0
    assert len(load_deletion_records(account.folder, "default")) == 1, "nothing is left to delete"
    assert account.server.requests == []

    assert run("hold", "remove", "1") == 0
    assert run("hold", "remove", "1") == 1
    assert run("hold", "add") == 2
    assert run(*DELETE, "--yes") == 0
    assert list_published_ids(account) == ["recent"]


@pytest.mark.parametrize(
    "arguments", [("retention",), ("retention", "--older-than", "7", "--yes"), ("retention", "--older-than", "0")]
)
def test_a_period_within_the_look_back_is_rejected(account: Account, arguments: tuple[str, ...]) -> None:
    assert run(*arguments) == 2
    assert load_deletion_records(account.folder, "default") == []


def test_deleted_windows_are_never_pulled_again(account: Account, old: StorageWindow) -> None:
    assert run(*DELETE, "--yes") == 0
    first_window = find_first_window(account.settings, now())
    assert first_window > old
    assert min(windows[0] for windows in find_due_ranges(account.settings, now())) == first_window
    assert min(windows[0] for windows in find_audit_ranges(account.settings, now())) == first_window
    assert run("sync", "--since", old.key) == 2
    assert run("verify", "--since", old.key) == 2
    assert account.server.requests == []
    defs = build_definitions(account.settings, clock=now)
    with dg.DagsterInstance.ephemeral() as instance:
        assert run_job(defs, "sync", instance, tags=build_range_tags([old])) == []
        (materialized,) = instance.fetch_materializations(dg.AssetKey("usage"), limit=9).records
    assert materialized.asset_materialization is not None
    assert materialized.asset_materialization.metadata["deleted_by_retention"].value is True
    assert account.server.requests == []
    assert list_published_ids(account) == ["recent"]


def test_late_callbacks_of_a_deleted_window_are_dropped_unless_held(account: Account, old: StorageWindow) -> None:
    def push_and_drain(*names: str) -> int:
        with open_inbox(account.settings, account.folder) as inbox:
            bodies = [json.dumps(record(n, old, HELD if n.startswith("held") else OTHER)).encode() for n in names]
            inbox.append([Event(dataset="usage_callbacks", received_at=now(), body=body) for body in bodies])
            return Drain(folder=account.folder, account="default", inbox=inbox, clock=now).run().dropped

    assert push_and_drain("gone-before", "held-before") == 0
    assert run("hold", "add", "--user", HELD) == 0
    assert run(*DELETE, "--yes") == 0
    (deletion,) = load_deletion_records(account.folder, "default")
    assert deletion.inbox_events == 2
    inbox_files = list(account.folder.inbox.parent.glob("inbox.sqlite*"))
    assert not [path for path in inbox_files if b"gone-before" in path.read_bytes()]
    assert push_and_drain("gone-after", "held-after") == 1
    publish(account.folder)
    assert list_published_ids(account) == ["held", "held-after", "held-before", "recent"]


def test_a_hold_on_the_account_keeps_its_inbox_events(account: Account, old: StorageWindow) -> None:
    with open_inbox(account.settings, account.folder) as inbox:
        body = json.dumps(record("drained", old)).encode()
        inbox.append([Event(dataset="usage_callbacks", received_at=now(), body=body)])
        Drain(folder=account.folder, account="default", inbox=inbox, clock=now).run()
    planned = plan_deletion(account.settings, older_than_days=12, now=now())
    assert planned.inbox_events == 1
    assert run("hold", "add", "--account", "default") == 0
    assert run(*DELETE, "--yes") == 0
    assert load_deletion_records(account.folder, "default") == []
    # The hold was added between the plan and the deletion.
    carry_out([account.settings], account.settings, planned, clock=now)
    with open_inbox(account.settings, account.folder) as inbox:
        assert len(inbox.read_drained(after=0, at_most=9)) == 1
    assert "drained" in list_published_ids(account)


def test_an_interrupted_deletion_is_finished_by_the_next_one(
    account: Account, old: StorageWindow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deletion = plan_deletion(account.settings, older_than_days=12, now=now())
    save_deletion_record(account.folder, deletion)
    assert run(*DELETE, "--yes") == 0
    assert "An interrupted deletion is finished first" in capsys.readouterr().out
    assert list_published_ids(account) == ["recent"]
    finished = load_deletion_records(account.folder, "default")
    assert all(one.finished_at for one in finished)

    def interrupt(*_arguments: object, **_named: object) -> None:
        raise KeyboardInterrupt

    fold(account.folder, response([record("again", old)], 2, window=old), window=old)
    publish(account.folder)
    again = plan_deletion(account.settings, older_than_days=12, now=now())
    with monkeypatch.context() as patched:
        patched.setattr("pipelines.runs.retention.publish", interrupt)
        with pytest.raises(KeyboardInterrupt):
            carry_out([account.settings], account.settings, again, clock=now)
    assert list_published_ids(account) == ["again", "recent"], "the tables contain it until the next publish"
    assert run(*DELETE, "--yes") == 0
    assert list_published_ids(account) == ["recent"]
    assert all(one.finished_at for one in load_deletion_records(account.folder, "default"))


def test_an_invented_or_empty_record_never_stops_the_sync_silently(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = account.folder.root / account.folder.retention_folder("default")
    folder.mkdir(parents=True)
    junk = folder / "x-before-2099-01-01.json"
    junk.touch()
    due = find_due_ranges(account.settings, now())
    assert due
    empty = folder / "20260101T000000.000000Z-before-2099-01-01.json"
    empty.touch()
    assert run("sync") == 1
    assert f"cannot read the deletion record {empty}" in capsys.readouterr().err
    empty.unlink()
    later = plan_deletion(account.settings, older_than_days=12, now=now() + timedelta(days=365))
    save_deletion_record(account.folder, later)
    assert run("sync") == 1
    (record_file,) = folder.glob("2*.json")
    assert f"cannot use the deletion record {record_file}: it is of the future" in capsys.readouterr().err
    assert account.server.requests == []


def write_record(account: Account, *, days: int, finished: bool = True) -> str:
    """Save the record of a deletion that was never made, and return its path."""
    deletion = Retention(account.folder, "default").plan(older_than_days=days, now=now())
    deletion.windows = {}
    deletion.finished_at = now() if finished else None
    save_deletion_record(account.folder, deletion)
    (path,) = (account.folder.root / account.folder.retention_folder("default")).glob("*.json")
    return str(path)


@pytest.mark.parametrize(
    ("days", "cause"),
    [
        (1, "but retention keeps the last 7 days (IPLUM_LOOKBACK_DAYS)"),
        (12, "was deleted, but 1 of these windows, such as {old}, have responses of iPlum"),
    ],
)
def test_a_forged_record_that_does_not_fit_the_data_is_refused_before_any_request(
    account: Account, old: StorageWindow, days: int, cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_record(account, days=days)
    for arguments in (["sync"], ["sync", "--since", str(account.first_day)], ["verify"]):
        assert run(*arguments) == 1
        error = capsys.readouterr().err
        assert f"cannot use the deletion record {path}: " in error
        assert cause.format(old=old.key) in error
    (found,) = machine.diagnose_deletions(account.settings, now())
    assert (found.name, found.state) == ("retention", State.FAILED)
    assert path in found.found
    assert "If iplum did not write it, remove it" in found.fix
    assert account.server.requests == []


@pytest.mark.parametrize("finished", [True, False])
def test_sync_and_doctor_name_the_windows_that_a_record_skips(
    account: Account, finished: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_record(account, days=12, finished=finished)
    first = window_of(account.settings.start_date)
    before = window_of(now() - timedelta(days=12))
    skipped = f"the windows of account default from {first.key} to before {before.key} are skipped: the deletion of "
    assert run("sync") == 0
    output = capsys.readouterr().out
    assert f"note: {skipped}" in output
    assert f"({path})" in output
    assert ("it is not finished" in output) is not finished
    (found,) = machine.diagnose_deletions(account.settings, now())
    assert found.state is State.OK
    assert found.found.startswith(skipped)
    assert run("sync", "--json") == 0
    assert json.loads(capsys.readouterr().out)["notes"] == [found.found]


def test_a_deletion_is_no_contradiction_of_itself_also_with_holds_and_late_callbacks(
    account: Account, old: StorageWindow
) -> None:
    assert run("hold", "add", "--user", HELD) == 0
    assert run(*DELETE, "--yes") == 0
    late = json.dumps(record("held-late", old, HELD)).encode()
    with open_inbox(account.settings, account.folder) as inbox:
        inbox.append([Event(dataset="usage_callbacks", received_at=now(), body=late)])
        Drain(folder=account.folder, account="default", inbox=inbox, clock=now).run()
    assert find_first_window(account.settings, now()) > old
