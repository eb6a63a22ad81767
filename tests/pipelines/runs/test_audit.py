"""The audit: counts of missing, changed and deleted records, and no findings without differences."""

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
from pipelines.runs.account_jobs import run_job
from pipelines.settings import load_settings
from pipelines.steps.audit_windows import NO_FINDINGS, AuditFindings
from pipelines.steps.progress import Progress
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


# --- one dataset, without Dagster


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
    """Pull the three windows from an API with these records and an optional row cap."""

    def fetch(window: Window) -> WindowResponse:
        dates = (window.start.strftime("%Y-%m-%dT%H:%M:%SZ"), window.end.strftime("%Y-%m-%dT%H:%M:%SZ"))
        inside: list[Any] = [r for r in records.values() if dates[0] <= r["startTimeUTC"] <= dates[1]]
        inside = sorted(inside, key=lambda record: str(record["startTimeUTC"]))[:cap]
        return WindowResponse(window, ("externalcall",), json.dumps(inside).encode(), len(inside), at, at)

    windows = DatasetLoader(
        folder=folder,
        account="default",
        table=USAGE,
        fetch=fetch,
        fetch_once=fetch,
        concurrency=1,
        verify=verify,
        clock=lambda: at,
        reason=reason,
        lookback=timedelta(days=7),
    )
    return list(windows.load(WINDOWS))


def audit(folder: DataFolder, records: Mapping[str, Mapping[str, Any]], at: datetime, **options: Any) -> AuditFindings:
    outcomes = pull(folder, records, at, verify="always", reason="audit", **options)
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if errors:
        raise errors[0]
    return sum((outcome.findings for outcome in outcomes), NO_FINDINGS)


def list_stored_ids(folder: DataFolder) -> set[str]:
    tables = [read_rows(folder, USAGE, "default", window) for window in WINDOWS]
    return {record_id for rows in tables if rows is not None for record_id in rows["record_id"]}


@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    seconds=st.lists(st.integers(0, SECONDS - 1), min_size=10, max_size=40, unique=True),
    omitted=st.sets(st.integers(0, 39)),
    changed=st.sets(st.integers(0, 39)),
    deleted=st.sets(st.integers(0, 39)),
    cap=st.sampled_from([None, 10, 13]),
)
def test_an_audit_counts_missing_changed_and_deleted_records_and_repairs_the_lake(
    seconds: list[int], omitted: set[int], changed: set[int], deleted: set[int], cap: int | None
) -> None:
    """The first pull lacks records because of a row cap or because iPlum did not return them."""
    records = build_records(seconds)
    first = {name: record for n, (name, record) in enumerate(records.items()) if n not in omitted}
    with TemporaryDirectory() as path:
        folder = create_folder(Path(path))
        pull(folder, first, LATER, cap=cap)
        before = list_stored_ids(folder)
        listed = {
            name: {**record, "iPlumCredits": 7} if n in changed else record
            for n, (name, record) in enumerate(records.items())
            if n not in deleted
        }
        findings = audit(folder, listed, LATER + timedelta(days=1), cap=cap)
        assert findings.missing == len(listed.keys() - before)
        assert findings.changed == len({f"r{n}" for n in changed} & before & listed.keys())
        assert findings.deleted == len(before - listed.keys())
        assert list_stored_ids(folder) == before | listed.keys()
        assert audit(folder, listed, LATER + timedelta(days=2), cap=cap) == NO_FINDINGS


def test_records_that_the_next_sync_would_pull_are_not_findings(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    records = build_records([0, 6 * 86400, 10 * 86400])
    soon = FIRST.end + timedelta(days=6)
    assert audit(folder, records, soon) == NO_FINDINGS, "all three windows are within the look-back"
    pull(folder, {}, soon)
    much_later = soon + timedelta(days=60)
    more = build_records([0, 1, 6 * 86400, 10 * 86400])
    assert audit(folder, more, much_later) == NO_FINDINGS, "no sync has run since the windows left the look-back"
    assert audit(folder, {}, much_later + timedelta(days=1)) == AuditFindings(deleted=4)


def test_all_records_of_a_window_that_was_never_complete_are_missing(tmp_path: Path) -> None:
    assert audit(create_folder(tmp_path), build_records([0, 1, 2]), LATER) == AuditFindings(missing=3)


def test_an_audit_stores_its_time_in_the_state_of_the_window(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    pull(folder, build_records([0, 1, 2]), LATER)
    audit(folder, build_records([0, 1, 2]), LATER + timedelta(days=1))
    pull(folder, build_records([0, 1, 2]), LATER + timedelta(days=2))
    state = read_state(folder, USAGE, "default", FIRST)
    assert state is not None
    assert (state.audited_at, state.complete_at) == (LATER + timedelta(days=1), LATER + timedelta(days=2))


# --- through Dagster and the command line


def test_verify_finds_and_adds_rows_that_a_row_cap_truncated(
    account: Account, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = window_of(account.created_at - timedelta(days=20))
    dates = ["--since", first.key, "--until", first.next().next().key]
    inside = f"window_start BETWEEN '{first.key}' AND '{first.next().key}'"
    ids = f"SELECT record_id FROM usage WHERE {inside} ORDER BY 1"
    account.set_options(row_cap=73, recording_plan=False)
    monkeypatch.setenv("IPLUM_VERIFY", "off")
    account.changes["IPLUM_VERIFY"] = "off"
    assert account.pull(since=first.first_day, until=first.next().next().first_day).failures == []
    truncated = account.query(ids)
    assert cli.run(["verify", *dates, "--offline"]) == 0, "the files are undamaged"
    capsys.readouterr()

    assert cli.run(["verify", *dates]) == 1
    complete = account.query(ids)
    true_ids = account.expected_ids()
    assert len(complete) > len(truncated) + 50
    assert {record_id for (record_id,) in complete} <= set(true_ids)
    missing = re.search(r"usage: (\d+) rows were missing; this audit added", capsys.readouterr().err)
    assert missing is not None
    assert int(missing[1]) in (len(complete) - len(truncated), len(complete) - len(truncated) + 1), (
        "one more if a row is on the boundary of two windows"
    )
    verified_by = f"SELECT DISTINCT verified_by FROM marts.completeness WHERE dataset = 'usage' AND {inside}"
    assert account.query(verified_by) == [("audit",)]
    found = find_by_select(account.folder, "audits_agree", USAGE)
    assert sum(one.rows for one in found) == len(complete) - len(truncated)

    account.set_options(row_cap=73, recording_plan=False, purge_before=first.end)
    assert cli.run(["verify", *dates]) == 1
    assert "were deleted at iPlum; they are kept here" in capsys.readouterr().err
    assert find_by_select(account.folder, "audits_agree", USAGE) == []
    assert cli.run(["verify", *dates]) == 0, "deleted records are reported once"
    assert account.query(ids) == complete


def test_the_run_of_the_audit_records_findings_per_window(account: Account) -> None:
    account.set_options(recording_plan=False)
    windows = list(windows_between(account.created_at - timedelta(days=20), account.created_at - timedelta(days=14)))
    defs = build_definitions(account.settings, clock=now, progress=Progress())
    with dg.DagsterInstance.ephemeral() as instance:
        assert run_job(defs, "audit", instance, tags=build_range_tags(windows)) == []
        records = instance.fetch_materializations(dg.AssetKey("usage"), limit=100).records
        counts = {
            str(record.partition_key): record.asset_materialization.metadata["audit_missing"].value
            for record in records
            if record.asset_materialization
        }
    expected = account.query("SELECT window_start::VARCHAR, count(*) FROM usage GROUP BY 1")
    assert counts == {key: rows for key, rows in expected if key in counts}
    assert counts.keys() == {window.key for window in windows}
    reasons = {reason for (reason,) in account.query("SELECT DISTINCT reason FROM pulls WHERE dataset = 'usage'")}
    assert reasons == {"audit", "halves"} | ({"stray"} & reasons)


def test_verify_with_dates_requests_only_their_windows(account: Account) -> None:
    account.set_options(recording_plan=False)
    until = account.first_day + timedelta(days=1)
    assert cli.run(["verify", "--until", str(until)]) == 1, "no window has been pulled"
    assert account.count_requests("/usage/getusage") == 3, "the window and its two halves"
    assert cli.run(["verify", "--since", "2001-01-01"]) == 2


def test_five_years_are_audited_in_five_weeks(tmp_path: Path) -> None:
    at = datetime(2026, 3, 15, 5, tzinfo=UTC)
    config = load_settings({"IPLUM_START_DATE": "2021-03-11"}, tmp_path)
    ranges = find_audit_ranges(config, at)
    assert sum(map(len, ranges)) == WINDOWS_PER_AUDIT
    assert ranges[0][-1].end <= at, "the open window is not audited"
    assert len(list(windows_between(datetime(2021, 3, 11, tzinfo=UTC), at))) <= 5 * WINDOWS_PER_AUDIT
