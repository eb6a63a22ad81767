"""A sync against the stand-in, over HTTP, through Dagster, into SQL."""

import re
from datetime import timedelta

import dagster as dg
import pytest

from iplum_resource.standin.options import Options
from pipelines.dagster_home import open_instance
from tests.support.account import Account, now
from warehouse.checks.data_quality import find_unparsed
from warehouse.schema.tables import USAGE as USAGE_TABLE
from warehouse.windows import window_of, windows_between

USAGE, RECORDINGS = "/usage/getusage", "/callrecordings/getrecordings"
ALL_ROWS = "SELECT * EXCLUDE (first_seen_at, last_seen_at) FROM {} ORDER BY record_id"


def test_a_sync_brings_every_row_and_a_second_one_changes_none(account: Account) -> None:
    report = account.sync()
    assert report.failures == []
    assert account.ids() == account.expected_ids()
    assert account.ids("recordings") == account.expected_ids("recordings")
    assert report.rows["usage"] == len(account.ids()) > 500
    assert account.ask("SELECT count(*) FROM pulls WHERE NOT complete AND reason <> 'stray'") == [(0,)]
    before = [account.ask(ALL_ROWS.format(table)) for table in ("usage", "recordings")]
    account.server.requests.clear()

    again = account.sync()
    assert (again.datasets["usage"].new, again.datasets["usage"].changed) == (0, 0)
    assert [account.ask(ALL_ROWS.format(table)) for table in ("usage", "recordings")] == before
    open_and_look_back = len(list(windows_between(now() - timedelta(days=7), now())))
    assert account.asked(USAGE) == account.asked(RECORDINGS) == open_and_look_back

    account.server.requests.clear()
    account.sync(since=account.first_day, until=account.first_day + timedelta(days=1))
    assert account.asked(USAGE) == 1, "a range asks for the windows that it overlaps"


def test_a_history_of_several_runs_is_published_once_by_the_last(account: Account) -> None:
    _, settled, beyond, *_ = windows_between(window_of(account.first_day).start, now())
    account.sync(since=settled.first_day, until=beyond.first_day)
    assert account.sync().failures == []
    assert account.ids() == account.expected_ids()
    with open_instance(account.settings) as instance:
        last, first, _ = instance.get_runs()
    pulled = {dg.AssetKey(name) for name in ("raw_usage", "usage", "raw_recordings", "recordings")}
    assert not last.asset_selection, "it is held to a part of the job"
    assert first.asset_selection == pulled | {dg.AssetKey("callbacks")}


@pytest.mark.parametrize(("cap", "rows_per_day"), [(50, 60), (100, 60), (137, 120)])
def test_a_silent_cap_is_found_and_beaten(account: Account, cap: int, rows_per_day: int) -> None:
    account.play(row_cap=cap, rows_per_day=rows_per_day)
    assert account.sync().failures == []
    assert account.ids() == account.expected_ids(rows_per_day=rows_per_day)
    assert account.ask("SELECT count(*) > 0 FROM pulls WHERE reason = 'halves'") == [(True,)]


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
def test_however_the_vendor_behaves_all_rows_come(account: Account, options: dict[str, object]) -> None:
    account.play(**options)
    assert account.sync().failures == []
    assert account.ids() == account.expected_ids()
    assert account.ask("SELECT count(*) FROM usage WHERE absent_since IS NOT NULL") == [(0,)]
    (extra,) = account.ask("SELECT count(extra) FROM usage")[0]
    assert (extra > 0) == ("unknown_fields" in options)


def test_rows_that_cannot_be_read_are_kept_counted_and_stop_nothing(account: Account) -> None:
    account.play(odd_rows=True)
    report = account.sync()
    assert report.failures == []
    unread, rows = account.ask("SELECT count(extra), count(*) FROM usage")[0]
    assert 0 < unread < rows
    read_in_full = account.ask("SELECT count(*) FROM usage WHERE extra IS NULL AND started_at IS NOT NULL")[0][0]
    assert read_in_full > 500
    assert find_unparsed(account.folder, USAGE_TABLE) != []


def test_one_bad_day_leaves_the_other_windows_whole_and_heals(account: Account) -> None:
    bad = account.first_day + timedelta(days=6)
    account.play(fail_500_days=frozenset({bad}), recording_plan=False)
    report = account.sync(since=bad, until=bad + timedelta(days=5))
    assert len(report.failures) == 1 or all("failed" in failure for failure in report.failures)
    assert window_of(bad).key in report.failures[0]
    assert "500" in report.failures[0]
    assert report.rows["usage"] > 0, "received records are published after a failed run"

    account.play()
    assert account.sync().failures == []
    assert account.ids() == account.expected_ids()


def test_a_wrong_key_costs_one_request(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPLUM_SECRET_KEY", "wrong-secret")
    report = account.sync()
    (failure,) = report.failures
    assert "401" in failure
    assert "API & Call Backs" in failure
    assert "wrong-secret" not in failure
    assert len(account.server.requests) == 1
    assert report.rows.get("usage", 0) == 0


def test_a_wrong_clock_is_told_from_a_wrong_key(account: Account) -> None:
    account.play(clock_offset=timedelta(hours=1))
    (failure,) = account.sync().failures
    assert "clock" in failure
    assert re.search(r"36\d\d s behind|35\d\d s behind", failure)


def test_an_account_without_permission_for_usage_is_told_so(account: Account) -> None:
    account.play(usage_permission=False)
    report = account.sync()
    assert "403" in report.failures[0]
    assert account.asked(USAGE) == 1


def test_an_unknown_host_is_named_as_such(account: Account) -> None:
    account.changes["IPLUM_BASE_URL"] = "https://nowhere.invalid"
    (failure,) = account.sync().failures
    assert "host name was not found" in failure


def test_without_a_recording_plan_usage_comes_and_recordings_cost_one_request_a_day(account: Account) -> None:
    account.play(recording_plan=False)
    report = account.sync()
    assert report.failures == []
    assert report.datasets["recordings"].refused
    assert account.asked(RECORDINGS) == 1
    assert account.ids() == account.expected_ids()
    assert account.ask("SELECT count(*) FROM pulls WHERE dataset = 'recordings' AND complete") == [(0,)]
    account.server.requests.clear()
    account.sync()
    assert account.asked(RECORDINGS) == 1

    account.play()
    account.sync()
    account.sync()
    assert account.ids("recordings") == account.expected_ids("recordings"), "they start automatically"


def test_refused_usage_types_are_left_out_with_a_warning(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    account.play(refuse_types=frozenset({"iplumcall"}))
    assert account.sync().failures == []
    assert [r.message for r in caplog.records if "usage types" in r.message and r.name == "iplum_resource"] != []
    assert account.ask("SELECT DISTINCT usage_types FROM pulls WHERE dataset = 'usage'") == [
        ("iPlumtext,externalcall,externaltext,fax",)
    ]


def test_late_rows_are_found_by_the_look_back(account: Account) -> None:
    account.play(late_rows=0.5, late_by=timedelta(hours=30))
    account.sync()
    early = set(account.ids())
    account.server.options = Options(now=lambda: account.began, late_rows=0, late_by=timedelta(0))
    account.sync()
    assert early < set(account.ids())
    assert account.ids() == account.expected_ids()


def test_what_the_source_purges_stays_with_a_date(account: Account) -> None:
    account.sync()
    whole = account.ids()
    account.play(purge_before=now() - timedelta(days=3))
    account.sync(since=account.first_day)
    assert account.ids() == whole
    gone, kept = account.ask("SELECT count(absent_since), count(*) FROM usage")[0]
    assert 0 < gone < kept
