"""A backfill started in the Dagster UI: with `dagster dev` and its daemon.

One window fails. The others must be stored, shown as materialized, and published by the sensor. Then, in a
browser, the failed window is retried and the report is opened.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from playwright.sync_api import Page

from iplum_resource.standin.server import Running
from tests.pipelines.test_dagster_ui import assert_only_own_pages_are_served
from tests.support.account import Account, now
from tests.support.browser import find_chromium, launch_backfill, open_backfill, open_browser
from tests.support.dagster_dev import DagsterDev, run_dagster_dev, wait_for
from warehouse.windows import window_of, windows_between

LAUNCH = """
mutation Launch($keys: [String!]!) {
  launchPartitionBackfill(backfillParams: {
    assetSelection: [{path: ["raw_usage"]}, {path: ["usage"]}], partitionNames: $keys
  }) { __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } }
}
"""
STATUS = """
query Status($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
  assetNodes(assetKeys: [{path: ["usage"]}]) {
    assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } }
  }
}
"""

FITS = "[...document.querySelectorAll('.scroll')].every(table => table.scrollWidth <= table.clientWidth)"


@dataclass
class Environment:
    """An account and the Dagster process that runs on it."""

    account: Account
    dagster: DagsterDev


@pytest.fixture(scope="module")
def environment(standin_server: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """Dagster, started once for all tests of `dagster dev` because the start takes 20 seconds."""
    account = Account(standin_server, tmp_path_factory.mktemp("backfill"))
    with run_dagster_dev(account) as dagster:
        yield Environment(account, dagster)


def test_a_backfill_with_one_failed_window_publishes_the_others(environment: Environment) -> None:
    account, query = environment.account, environment.dagster.query
    windows = list(windows_between(account.created_at - timedelta(days=20), account.created_at))
    failing = windows[0]
    account.set_options(fail_500_days=frozenset({failing.first_day}))
    launched = query(LAUNCH, keys=[window.key for window in windows])["launchPartitionBackfill"]
    backfill = launched["backfillId"]
    status = wait_for(
        lambda: query(STATUS, id=backfill),
        until=lambda s: s["partitionBackfillOrError"]["status"].startswith(("COMPLETED", "FAILED")),
    )
    assert status["partitionBackfillOrError"]["status"] == "COMPLETED_FAILED"
    ranges = status["assetNodes"][0]["assetPartitionStatuses"]["ranges"]
    materialized = [(r["startKey"], r["endKey"]) for r in ranges if r["status"] == "MATERIALIZED"]
    assert materialized == [(windows[1].key, windows[-1].key)]
    # The sensor publishes after the failed run.
    wait_for(lambda: {"done": account.folder.snapshot.is_file()}, until=lambda s: bool(s["done"]))
    start = f"{windows[1].first_day}"
    assert account.query(f"SELECT min(window_start)::VARCHAR FROM usage WHERE window_start >= '{start}'") == [(start,)]
    published = set(account.ids())
    expected = [i for i in account.expected_ids() if i in published]
    assert len(expected) > 300
    log = (account.path / "dagster.log").read_text()
    assert "SupersessionWarning" not in log
    assert "will not be used" not in log


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine: apt-get install chromium")
def test_a_failed_window_is_retried_in_the_browser_and_the_report_is_shown(environment: Environment) -> None:
    account, url = environment.account, environment.dagster.url
    account.set_options()
    with open_browser() as page:
        open_backfill(page, url, choice="Failed and missing")
        launch_backfill(page)
        windows = list(windows_between(window_of(account.first_day).start, now()))
        page.goto(f"{url}/assets/usage?view=partitions")
        page.get_by_text(f"Materialized ({len(windows)})").wait_for()
        page.goto(f"{url}/locations/pipelines.definitions/jobs/publish")
        page.get_by_role("button", name="Materialize all").click()
        page.get_by_role("link", name="View").wait_for()
        wait_for(
            lambda: {"ids": account.ids() if account.folder.snapshot.is_file() else []},
            until=lambda seen: seen["ids"] == account.expected_ids(),
        )
        path = wait_for(lambda: {"path": read_report_path(page, url)}, until=lambda seen: bool(seen["path"]))["path"]
        page.goto(f"file://{path}")
        assert page.locator("svg").count() > 3
        page.get_by_role("heading").first.wait_for()
        assert page.evaluate(FITS)
        # In print, the table of users was once clipped at the right margin.
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 703, "height": 1000})
        assert page.evaluate(FITS)


def test_dagster_dev_refuses_other_pages_and_serves_its_own(environment: Environment) -> None:
    assert_only_own_pages_are_served(environment.dagster.url)


def read_report_path(page: Page, url: str) -> str:
    """Return the path of the report from its asset's page, or an empty string before the first report."""
    page.goto(f"{url}/assets/report")
    page.get_by_text("Description").first.wait_for()
    shown = page.get_by_text(re.compile(r"/report\.html$"))
    return shown.first.inner_text() if shown.count() else ""
