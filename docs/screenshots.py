"""`make screenshots`: the pictures of docs/dagster-ui.md, made of the invented account in Chromium."""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Page, ViewportSize

from pipelines.demo import describe_account, prepare_folder
from pipelines.iplum_process import run_standin
from pipelines.runs.sync import sync
from pipelines.settings import PROJECT, adopt_environment, load_settings
from pipelines.steps.progress import Progress
from pipelines.warehouse_folder import open_folder
from tests.support.browser import find_chromium, launch_backfill, open_backfill, open_browser
from tests.support.dagster_dev import run_dagster
from warehouse.windows import window_of

_IMAGES = PROJECT / "docs" / "images"
_TALL: ViewportSize = {"width": 1280, "height": 1700}


def main() -> None:
    """Renew all pictures: a backfill with a window that fails, its retry, and what the UI shows of it."""
    if find_chromium() is None:
        sys.exit("make screenshots needs Chromium: apt-get install chromium")
    began = datetime.now(UTC)
    bad = window_of(began - timedelta(days=40))
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "demo-data"
        with run_standin("--fail-500-days", str(bad.first_day)) as (url, _):
            environ = describe_account(url, data, began=began)
            prepare_folder(load_settings(environ, PROJECT))
            with _look(environ) as (page, dagster):
                _take_failure(page, dagster)
        adopt_environment(environ)
        settings = load_settings(environ, PROJECT)
        with run_standin(port=int(url.rpartition(":")[2])), _look(environ) as (page, dagster):
            _take_retry(page, dagster)
            sync(settings, environ=environ, progress=Progress(), clock=lambda: began)
            _take_pages(page, dagster)
            _take_report(page, open_folder(settings).report)


@contextmanager
def _look(environ: Mapping[str, str]) -> Iterator[tuple[Page, str]]:
    with run_dagster(environ, log=Path(environ["IPLUM_DATA"]) / "dagster.log") as dagster, open_browser() as page:
        yield page, dagster.url


def _take(page: Page, name: str) -> None:
    # What loads late has no common sign by which one could wait for it.
    page.wait_for_timeout(3000)
    page.screenshot(path=_IMAGES / f"{name}.png")


def _take_failure(page: Page, url: str) -> None:
    open_backfill(page, url, choice="All")
    _take(page, "backfill-dialog")
    launch_backfill(page)
    page.goto(f"{url}/assets/usage?view=partitions")
    page.get_by_text("Failed (1)").wait_for()
    _take(page, "failed-window")


def _take_retry(page: Page, url: str) -> None:
    open_backfill(page, url, choice="Failed")
    _take(page, "retry-dialog")
    launch_backfill(page)
    page.goto(f"{url}/assets/usage?view=partitions")
    page.get_by_text("Failed (0)").wait_for()
    page.get_by_text("Materialized (20)").wait_for()
    _take(page, "retried-window")


def _take_pages(page: Page, url: str) -> None:
    page.goto(f"{url}/runs")
    page.locator("a[href^='/runs/']").first.wait_for()
    _take(page, "runs")
    page.goto(f"{url}/automation")
    page.get_by_text("daily_sync").first.wait_for()
    _take(page, "automation")
    page.goto(f"{url}/assets/warehouse/usage?view=checks")
    page.get_by_text("unique_ids").first.wait_for()
    _take(page, "checks")
    page.goto(f"{url}/assets/marts/unanswered_texts")
    page.get_by_text("Columns").first.wait_for()
    _take(page, "asset")


def _take_report(page: Page, report: Path) -> None:
    page.set_viewport_size(_TALL)
    page.goto(report.as_uri())
    _take(page, "report")


if __name__ == "__main__":
    main()
