"""Syncs from the stand-in over HTTP and through Dagster, to the published tables."""

import logging
import re
from datetime import timedelta

import dagster as dg
import pytest

from iplum_resource.standin.options import Options
from pipelines.dagster_home import open_instance
from pipelines.defs.schedules import find_due_ranges
from pipelines.doctor.machine import diagnose_types
from tests.support.account import Account, build_clock
from warehouse.checks.data_problems import find_problems
from warehouse.windows import window_of, windows_between

USAGE, RECORDINGS = "/usage/getusage", "/callrecordings/getrecordings"
ALL_ROWS = "SELECT * EXCLUDE (first_seen_at, last_seen_at) FROM {} ORDER BY record_id"


@pytest.fixture
def account(account: Account) -> Account:
    """An account whose clock stands at the end of its history."""
    account.clock = build_clock(account.created_at)
    return account


def test_a_sync_publishes_every_row_and_a_second_sync_changes_none(account: Account) -> None:
    report = account.sync()
    assert report.failures == []
    assert account.ids() == account.expected_ids()
    assert account.ids("recordings") == account.expected_ids("recordings")
    assert report.rows["usage"] == len(account.ids()) > 500
    assert account.query("SELECT count(*) FROM pulls WHERE NOT complete AND reason <> 'stray'") == [(0,)]
    before = [account.query(ALL_ROWS.format(table)) for table in ("usage", "recordings")]
    account.server.requests.clear()

    again = account.sync()
    assert (again.datasets["usage"].new, again.datasets["usage"].changed) == (0, 0)
    assert [account.query(ALL_ROWS.format(table)) for table in ("usage", "recordings")] == before
    due_windows = len(list(windows_between(account.created_at - timedelta(days=7), account.created_at)))
    assert account.count_requests(USAGE) == account.count_requests(RECORDINGS) == due_windows

    account.server.requests.clear()
    account.sync(since=account.first_day, until=account.first_day + timedelta(days=1))
    assert account.count_requests(USAGE) == 1, "the window that the range overlaps"


def test_only_the_last_of_several_runs_publishes(account: Account) -> None:
    _, settled, beyond, *_ = windows_between(window_of(account.first_day).start, account.created_at)
    account.sync(since=settled.first_day, until=beyond.first_day, in_memory=False)
    assert account.sync(in_memory=False).failures == []
    assert account.ids() == account.expected_ids()
    with open_instance(account.settings) as instance:
        last, first, _ = instance.get_runs()
    pulled = {dg.AssetKey(name) for name in ("raw_usage", "usage", "raw_recordings", "recordings")}
    assert not last.asset_selection, "the last run executes the whole job"
    assert first.asset_selection == pulled | {dg.AssetKey("callbacks")}


@pytest.mark.parametrize(("cap", "rows_per_day"), [(50, 60), (100, 60), (137, 120)])
def test_all_rows_are_synced_despite_a_row_cap(account: Account, cap: int, rows_per_day: int) -> None:
    account.set_options(row_cap=cap, rows_per_day=rows_per_day)
    assert account.pull().failures == []
    assert account.ids() == account.expected_ids(rows_per_day=rows_per_day)
    assert account.query("SELECT count(*) > 0 FROM pulls WHERE reason = 'halves'") == [(True,)]


@pytest.mark.parametrize(
    "options",
    [
        {"filter_by": "end"},
        {"end_inclusive": False},
        {"unknown_fields": True},
        {"fail_500_wider_than": timedelta(days=2)},
        {"reset": 0.1, "cut": 0.1, "malformed_first": 2, "html_first": 1, "fail_429_first": 2},
        {"rate_limit": 200.0, "retry_after": "seconds"},
    ],
    ids=lambda options: "+".join(options),
)
def test_all_rows_are_synced_despite_api_variations_and_temporary_faults(
    account: Account, options: dict[str, object]
) -> None:
    account.set_options(**options)
    assert account.pull().failures == []
    assert account.ids() == account.expected_ids()
    assert account.query("SELECT count(*) FROM usage WHERE absent_since IS NOT NULL") == [(0,)]
    (extra,) = account.query("SELECT count(extra) FROM usage")[0]
    assert (extra > 0) == ("unknown_fields" in options)


def test_unreadable_rows_are_stored_and_counted_and_do_not_fail_the_sync(account: Account) -> None:
    account.set_options(odd_rows=True)
    report = account.sync()
    assert report.failures == []
    unreadable, rows = account.query("SELECT count(extra), count(*) FROM usage")[0]
    assert 0 < unreadable < rows
    read_in_full = account.query("SELECT count(*) FROM usage WHERE extra IS NULL AND started_at IS NOT NULL")[0][0]
    assert read_in_full > 500
    count = report.datasets["usage"].unreadable
    assert count > 0
    damages = [str(problem) for problem in find_problems(account.folder) if problem.is_damage]
    assert damages
    assert set(damages) <= set(map(str, report.problems))
    assert f"usage of account default: {count:,} record" in damages[0]


def test_a_failing_day_fails_its_window_only_and_is_synced_later(account: Account) -> None:
    failing_day = account.first_day + timedelta(days=6)
    account.set_options(fail_500_days=frozenset({failing_day}), recording_plan=False)
    report = account.sync(since=failing_day, until=failing_day + timedelta(days=5))
    assert len(report.failures) == 1 or all("failed" in failure for failure in report.failures)
    assert window_of(failing_day).key in report.failures[0]
    assert "500" in report.failures[0]
    assert report.rows["usage"] > 0, "received records are published after a failed run"

    account.set_options()
    assert account.pull().failures == []
    assert account.ids() == account.expected_ids()


def test_a_wrong_key_causes_one_request(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPLUM_SECRET_KEY", "wrong-secret")
    report = account.sync()
    (failure,) = report.failures
    assert "401" in failure
    assert "API & Call Backs" in failure
    assert "wrong-secret" not in failure
    assert len(account.server.requests) == 1
    assert report.rows.get("usage", 0) == 0


def test_a_wrong_clock_is_distinguished_from_a_wrong_key(account: Account) -> None:
    account.set_options(clock_offset=timedelta(hours=1))
    (failure,) = account.pull().failures
    assert "clock" in failure
    assert re.search(r"36\d\d s behind|35\d\d s behind", failure)


def test_a_sync_with_the_clock_ahead_is_recorded_by_iplums_clock(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise nothing is due once the clock is set, until the date that it showed."""
    account.set_options(clock_offset=timedelta(days=-40), max_epoch_age=timedelta(days=400))
    with caplog.at_level(logging.WARNING, "iplum_resource"):
        assert account.sync().failures == []
    notes = {line for line in caplog.messages if "clock" in line}
    assert len(notes) == 1
    assert re.match(r"this machine's clock is 34\d{5} s ahead of iPlum's, whose time is used", notes.pop())
    ((first, last),) = account.query("SELECT min(pulled_at), max(pulled_at) FROM pulls")
    assert timedelta(days=39) < account.created_at - last <= account.created_at - first < timedelta(days=41)
    due = [window for window_range in find_due_ranges(account.settings, account.created_at) for window in window_range]
    assert due[0].first_day == account.first_day, "no window is final"


def test_a_missing_usage_permission_fails_after_one_request(account: Account) -> None:
    account.set_options(usage_permission=False)
    report = account.pull()
    assert "403" in report.failures[0]
    assert account.count_requests(USAGE) == 1


def test_an_unknown_host_is_named_in_the_failure(account: Account) -> None:
    account.changes["IPLUM_BASE_URL"] = "https://nowhere.invalid"
    (failure,) = account.pull().failures
    assert "host name was not found" in failure


def test_without_a_recording_plan_usage_is_synced_and_recordings_are_probed_once(account: Account) -> None:
    account.set_options(recording_plan=False)
    report = account.pull()
    assert report.failures == []
    assert report.datasets["recordings"].refused
    assert account.count_requests(RECORDINGS) == 1
    assert account.ids() == account.expected_ids()
    assert account.query("SELECT count(*) FROM pulls WHERE dataset = 'recordings' AND complete") == [(0,)]
    account.server.requests.clear()
    account.pull()
    assert account.count_requests(RECORDINGS) == 1

    account.set_options()
    account.pull()
    account.pull()
    assert account.ids("recordings") == account.expected_ids("recordings"), (
        "recordings are synced once the plan includes them"
    )


def test_rejected_usage_types_are_left_out_with_a_warning(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    account.set_options(refuse_types=frozenset({"iplumcall"}))
    assert account.pull().failures == []
    assert [r.message for r in caplog.records if "usage types" in r.message and r.name == "iplum_resource"] != []
    assert account.query("SELECT DISTINCT usage_types FROM pulls WHERE dataset = 'usage' ORDER BY 1") == [
        ("iPlumtext,externalcall,externaltext,fax",),
        ("iplumcall",),
    ]
    assert account.query("SELECT usage_types, rows, complete FROM pulls WHERE usage_types = 'iplumcall'") == [
        ("iplumcall", None, False)
    ], "one refusal per run"


def test_a_usage_type_that_iplum_accepts_later_is_pulled_for_all_of_history(account: Account) -> None:
    account.set_options(refuse_types=frozenset({"iplumcall"}))
    account.sync()
    account.sync()
    account.set_options()
    assert list(diagnose_types(account.settings, account.clock())) == [], "the check of the API reports refused types"
    account.sync()
    (line,) = diagnose_types(account.settings, account.clock())
    assert line.found.startswith("iplumcall: not requested yet in ")
    assert account.sync().failures == []
    assert list(diagnose_types(account.settings, account.clock())) == []
    assert account.ids() == account.expected_ids()
    account.server.requests.clear()
    account.sync()
    assert account.count_requests(USAGE) <= 3, "settled"


def test_an_added_usage_type_is_pulled_for_all_of_history(account: Account) -> None:
    account.changes["IPLUM_USAGE_TYPES"] = "iPlumtext,fax"
    account.sync()
    assert set(account.ids()) < set(account.expected_ids())
    del account.changes["IPLUM_USAGE_TYPES"]
    account.sync()
    assert account.ids() == account.expected_ids()
    assert account.query("SELECT count(*) FROM marts.completeness WHERE missing_types IS NOT NULL") == [(0,)]


def test_late_rows_are_synced_within_the_look_back(account: Account) -> None:
    account.set_options(late_rows=0.5, late_by=timedelta(hours=30))
    account.pull()
    early = set(account.ids())
    account.server.options = Options(now=lambda: account.created_at, late_rows=0, late_by=timedelta(0))
    account.pull()
    assert early < set(account.ids())
    assert account.ids() == account.expected_ids()


def test_purged_rows_are_kept_with_absent_since(account: Account) -> None:
    account.pull()
    before = account.ids()
    account.set_options(purge_before=account.created_at - timedelta(days=3))
    account.pull(since=account.first_day)
    assert account.ids() == before
    absent, total = account.query("SELECT count(absent_since), count(*) FROM usage")[0]
    assert 0 < absent < total
