"""A deletion through the command line: asked for, written down, published without it, and never pulled again."""

import json
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from pipelines import cli
from pipelines.defs.build import build_definitions
from pipelines.defs.partitions import build_range_tags
from pipelines.defs.schedules import find_audit_ranges, find_due_ranges, find_first_window
from pipelines.runs.retention import carry_out, plan_deletion
from pipelines.runs.sync import run_job
from pipelines.steps.drain_inbox import Drain
from pipelines.warehouse_folder import open_inbox
from tests.support.account import Account, now
from tests.support.raw_responses import answer, call, fold
from warehouse.outputs.report import write_report
from warehouse.raw.deletion_log import load_deletion_records, save_deletion_record
from warehouse.raw.inbox import Event
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
    """Two windows, published: an old one with a record to hold, and a young one."""
    old, young = window_of(account.began - timedelta(days=20)), window_of(account.began - timedelta(days=3))
    fold(account.folder, answer([record("gone", old), record("held", old, HELD)], 1, window=old), window=old)
    fold(account.folder, answer([record("young", young)], 1, window=young), window=young)
    publish(account.folder)
    return old


def published(account: Account) -> list[str]:
    return [name for (name,) in account.ask("SELECT record_id FROM usage ORDER BY 1")]


def test_a_deletion_is_shown_asked_for_carried_out_and_listed(
    account: Account, old: StorageWindow, capsys: pytest.CaptureFixture[str]
) -> None:
    write_report(account.folder)
    assert run("hold", "list") == run("retention", "--list") == 0
    assert capsys.readouterr().out == "No holds.\nNo deletions.\n"
    assert run("hold", "add", "--user", HELD, "--note", "case 17") == 0
    assert run("hold", "list") == 0
    assert f"user {HELD}, note case 17" in capsys.readouterr().out

    assert run(*DELETE, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert f"{old.key}  1 usage, 1 raw files" in shown
    assert "usage                    1 rows to delete, 1 held" in shown
    assert run(*DELETE) == 2, "there is no terminal for a prompt"
    assert load_deletion_records(account.folder, "default") == []
    assert published(account) == ["gone", "held", "young"]

    assert run(*DELETE, "--yes") == 0
    assert published(account) == ["held", "young"]
    (deletion,) = load_deletion_records(account.folder, "default")
    assert deletion.finished_at is not None
    assert HELD not in json.dumps(deletion.windows)
    capsys.readouterr()
    assert run("retention", "--list") == 0
    assert "1 rows of 1 windows, 1 raw files, 0 media files; finished" in capsys.readouterr().out
    assert run(*DELETE, "--yes") == 0
    assert len(load_deletion_records(account.folder, "default")) == 1, "there was nothing more to delete"
    assert account.server.requests == []

    assert run("hold", "remove", "1") == 0
    assert run("hold", "remove", "1") == 1
    assert run("hold", "add") == 2
    assert run(*DELETE, "--yes") == 0
    assert published(account) == ["young"]


@pytest.mark.parametrize(
    "arguments", [("retention",), ("retention", "--older-than", "7", "--yes"), ("retention", "--older-than", "0")]
)
def test_days_that_the_sync_looks_back_at_are_not_deleted(account: Account, arguments: tuple[str, ...]) -> None:
    assert run(*arguments) == 2
    assert load_deletion_records(account.folder, "default") == []


def test_what_was_deleted_is_never_pulled_again(account: Account, old: StorageWindow) -> None:
    assert run(*DELETE, "--yes") == 0
    floor = find_first_window(account.settings)
    assert floor > old
    assert min(stretch[0] for stretch in find_due_ranges(account.settings, now())) == floor
    assert min(stretch[0] for stretch in find_audit_ranges(account.settings, now())) == floor
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
    assert published(account) == ["young"]


def test_what_is_pushed_late_about_a_deleted_window_is_not_taken_in_unless_it_is_held(
    account: Account, old: StorageWindow
) -> None:
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
    assert published(account) == ["held", "held-after", "held-before", "young"]


def test_a_deletion_that_was_killed_before_its_end_is_finished_by_the_next(
    account: Account, old: StorageWindow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deletion = plan_deletion(account.settings, older_than_days=12, now=now())
    save_deletion_record(account.folder, deletion)
    assert run(*DELETE, "--yes") == 0
    assert "An interrupted deletion is finished first" in capsys.readouterr().out
    assert published(account) == ["young"]
    finished = load_deletion_records(account.folder, "default")
    assert all(one.finished_at for one in finished)

    def die(*_arguments: object, **_named: object) -> None:
        raise KeyboardInterrupt

    fold(account.folder, answer([record("again", old)], 2, window=old), window=old)
    publish(account.folder)
    again = plan_deletion(account.settings, older_than_days=12, now=now())
    with monkeypatch.context() as patched:
        patched.setattr("pipelines.runs.retention.publish", die)
        with pytest.raises(KeyboardInterrupt):
            carry_out([account.settings], account.settings, again, clock=now)
    assert published(account) == ["again", "young"], "the tables contain it until the next publish"
    assert run(*DELETE, "--yes") == 0
    assert published(account) == ["young"]
    assert all(one.finished_at for one in load_deletion_records(account.folder, "default"))
