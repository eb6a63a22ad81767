"""The audit: what is missing, changed or gone is found and counted, and nothing is found where nothing is."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from iplum_resource.http.responses import WindowResponse
from iplum_resource.window import Window
from iplum_resource.window_pull import PullReason, Verify
from pipelines import cli
from pipelines.defs.build import build_definitions
from pipelines.defs.partitions import build_range_tags
from pipelines.defs.schedules import WINDOWS_PER_AUDIT, find_audit_ranges
from pipelines.runs.sync import run_job
from pipelines.settings import load_settings
from pipelines.steps.audit_windows import NO_FINDINGS, AuditFindings
from pipelines.steps.progress import NoProgress
from pipelines.steps.pull_windows import DatasetLoader, WindowOutcome
from tests.support.account import Account, now
from tests.support.raw_responses import call, create_folder
from warehouse.checks.data_quality import find_by_select
from warehouse.lake.files import read_rows, read_state
from warehouse.schema.tables import USAGE
from warehouse.storage.paths import DataFolder
from warehouse.windows import window_of, window_of_key, windows_between

FIRST = window_of_key("2023-03-21")
WINDOWS = [FIRST, FIRST.next(), FIRST.next().next()]
LATER = datetime(2023, 6, 1, tzinfo=UTC)
SECONDS = int((WINDOWS[-1].end - FIRST.start).total_seconds())


# --- the law


def build_records(seconds: Sequence[int]) -> dict[str, dict[str, Any]]:
    starts = [FIRST.start + timedelta(seconds=second) for second in seconds]
    return {f"r{n}": call(f"r{n}", start.strftime("%Y-%m-%dT%H:%M:%SZ")) for n, start in enumerate(starts)}


def pull(
    folder: DataFolder,
    records: Mapping[str, Mapping[str, Any]],
    at: datetime,
    *,
    cap: int | None = None,
    verify: Verify = "off",
    reason: PullReason = "pull",
) -> list[WindowOutcome]:
    """Pull the three windows from an API that is nothing but these records, and a cap."""

    def ask(window: Window) -> WindowResponse:
        dates = (window.start.strftime("%Y-%m-%dT%H:%M:%SZ"), window.end.strftime("%Y-%m-%dT%H:%M:%SZ"))
        inside: list[Any] = [r for r in records.values() if dates[0] <= r["startTimeUTC"] <= dates[1]]
        inside = sorted(inside, key=lambda record: str(record["startTimeUTC"]))[:cap]
        return WindowResponse(window, ("externalcall",), json.dumps(inside).encode(), len(inside), at, at)

    windows = DatasetLoader(
        folder=folder,
        account="default",
        table=USAGE,
        fetch=ask,
        fetch_once=ask,
        concurrency=1,
        verify=verify,
        clock=lambda: at,
        reason=reason,
        lookback=timedelta(days=7),
    )
    return list(windows.load(WINDOWS))


def audit(folder: DataFolder, records: Mapping[str, Mapping[str, Any]], at: datetime, **how: Any) -> AuditFindings:
    outcomes = pull(folder, records, at, verify="always", reason="audit", **how)
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if errors:
        raise errors[0]
    return sum((outcome.findings for outcome in outcomes), NO_FINDINGS)


def held(folder: DataFolder) -> set[str]:
    kept = [read_rows(folder, USAGE, "default", window) for window in WINDOWS]
    return {record_id for rows in kept if rows is not None for record_id in rows["record_id"]}


@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    seconds=st.lists(st.integers(0, SECONDS - 1), min_size=10, max_size=40, unique=True),
    lost=st.sets(st.integers(0, 39)),
    changed=st.sets(st.integers(0, 39)),
    gone=st.sets(st.integers(0, 39)),
    cap=st.sampled_from([None, 10, 13]),
)
def test_an_audit_counts_what_is_missing_changed_and_gone_and_then_all_is_here(
    seconds: list[int], lost: set[int], changed: set[int], gone: set[int], cap: int | None
) -> None:
    """Records that the first pull lost, to a row cap or because iPlum left them out."""
    records = build_records(seconds)
    first = {name: record for n, (name, record) in enumerate(records.items()) if n not in lost}
    with TemporaryDirectory() as path:
        folder = create_folder(Path(path))
        pull(folder, first, LATER, cap=cap)
        before = held(folder)
        now_there = {
            name: {**record, "iPlumCredits": 7} if n in changed else record
            for n, (name, record) in enumerate(records.items())
            if n not in gone
        }
        found = audit(folder, now_there, LATER + timedelta(days=1), cap=cap)
        assert found.missing == len(now_there.keys() - before)
        assert found.changed == len({f"r{n}" for n in changed} & before & now_there.keys())
        assert found.deleted == len(before - now_there.keys())
        assert held(folder) == before | now_there.keys()
        assert audit(folder, now_there, LATER + timedelta(days=2), cap=cap) == NO_FINDINGS


def test_what_the_next_sync_would_have_brought_is_no_difference(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    records = build_records([0, 6 * 86400, 10 * 86400])
    soon = FIRST.end + timedelta(days=6)
    assert audit(folder, records, soon) == NO_FINDINGS, "all three windows are looked back at"
    pull(folder, {}, soon)
    days_on = soon + timedelta(days=60)
    more = build_records([0, 1, 6 * 86400, 10 * 86400])
    assert audit(folder, more, days_on) == NO_FINDINGS, "no sync came since they left the look-back"
    assert audit(folder, {}, days_on + timedelta(days=1)) == AuditFindings(deleted=4)


def test_a_window_that_never_was_whole_lacks_all_that_comes(tmp_path: Path) -> None:
    assert audit(create_folder(tmp_path), build_records([0, 1, 2]), LATER) == AuditFindings(missing=3)


def test_an_audit_leaves_its_date(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    pull(folder, build_records([0, 1, 2]), LATER)
    audit(folder, build_records([0, 1, 2]), LATER + timedelta(days=1))
    pull(folder, build_records([0, 1, 2]), LATER + timedelta(days=2))
    state = read_state(folder, USAGE, "default", FIRST)
    assert state is not None
    assert (state.audited_at, state.complete_at) == (LATER + timedelta(days=1), LATER + timedelta(days=2))


# --- through Dagster and the command line


def test_verify_finds_what_a_cap_took_brings_it_and_is_content_then(
    account: Account, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = window_of(account.began - timedelta(days=20))
    range_ = ["--since", first.key, "--until", first.next().next().key]
    inside = f"window_start BETWEEN '{first.key}' AND '{first.next().key}'"
    ids = f"SELECT record_id FROM usage WHERE {inside} ORDER BY 1"
    account.play(row_cap=73, recording_plan=False)
    monkeypatch.setenv("IPLUM_VERIFY", "off")
    assert cli.run(["sync", *range_]) == 0
    believed = account.ask(ids)
    assert cli.run(["verify", *range_, "--offline"]) == 0, "on the disk all is as it was written"
    capsys.readouterr()

    assert cli.run(["verify", *range_]) == 1
    whole = account.ask(ids)
    true_ids = account.expected_ids()
    assert len(whole) > len(believed) + 50
    assert {record_id for (record_id,) in whole} <= set(true_ids)
    missing = re.search(r"usage: (\d+) rows were missing; this audit added", capsys.readouterr().err)
    assert missing is not None
    assert int(missing[1]) in (len(whole) - len(believed), len(whole) - len(believed) + 1), "or one on the edge"
    proofs = f"SELECT DISTINCT verified_by FROM marts.completeness WHERE dataset = 'usage' AND {inside}"
    assert account.ask(proofs) == [("audit",)]
    found = find_by_select(account.folder, "audits_agree", USAGE)
    assert sum(one.rows for one in found) == len(whole) - len(believed)

    account.play(row_cap=73, recording_plan=False, purge_before=first.end)
    assert cli.run(["verify", *range_]) == 1
    assert "were deleted at iPlum; they are kept here" in capsys.readouterr().err
    assert find_by_select(account.folder, "audits_agree", USAGE) == []
    assert cli.run(["verify", *range_]) == 0, "that they are gone is known now"
    assert account.ask(ids) == whole


def test_the_audits_run_shows_differences_window_by_window(account: Account) -> None:
    account.play(recording_plan=False)
    windows = list(windows_between(account.began - timedelta(days=20), account.began - timedelta(days=14)))
    defs = build_definitions(account.settings, clock=now, progress=NoProgress())
    with dg.DagsterInstance.ephemeral() as instance:
        assert run_job(defs, "audit", instance, tags=build_range_tags(windows)) == []
        records = instance.fetch_materializations(dg.AssetKey("usage"), limit=100).records
        counts = {
            str(record.partition_key): record.asset_materialization.metadata["audit_missing"].value
            for record in records
            if record.asset_materialization
        }
    expected = account.ask("SELECT window_start::VARCHAR, count(*) FROM usage GROUP BY 1")
    assert counts == {key: rows for key, rows in expected if key in counts}
    assert counts.keys() == {window.key for window in windows}
    reasons = {reason for (reason,) in account.ask("SELECT DISTINCT reason FROM pulls WHERE dataset = 'usage'")}
    assert reasons == {"audit", "halves"} | ({"stray"} & reasons)


def test_verify_in_bounds_asks_for_those_windows_alone(account: Account) -> None:
    account.play(recording_plan=False)
    until = account.first_day + timedelta(days=1)
    assert cli.run(["verify", "--until", str(until)]) == 1, "nothing of it was here"
    assert account.asked("/usage/getusage") == 3, "whole and in halves"
    assert cli.run(["verify", "--since", "2001-01-01"]) == 2


def test_five_years_are_gone_round_in_five_weeks(tmp_path: Path) -> None:
    at = datetime(2026, 3, 15, 5, tzinfo=UTC)
    config = load_settings({"IPLUM_START_DATE": "2021-03-11"}, tmp_path)
    stretches = find_audit_ranges(config, at)
    assert sum(map(len, stretches)) == WINDOWS_PER_AUDIT
    assert stretches[0][-1].end <= at, "the open window is the sync's"
    assert len(list(windows_between(datetime(2021, 3, 11, tzinfo=UTC), at))) <= 5 * WINDOWS_PER_AUDIT
