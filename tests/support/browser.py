"""Chromium for tests of the Dagster UI."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

#: Chromium has no sandbox when it runs as root in a container. The other flags disable connections to other hosts.
_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
_MILLISECONDS = 240_000


def find_chromium() -> str | None:
    """Return the path of an installed Chromium or Chrome; None if there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def open_browser() -> Iterator[Page]:
    """Open a page in a new browser with an empty profile, and close the browser at the end of the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=_FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(_MILLISECONDS)
        try:
            yield page
        finally:
            browser.close()


def open_backfill(page: Page, url: str, *, choice: str) -> None:
    """Open the backfill dialog of `usage` and select partitions with its button `choice`."""
    page.goto(f"{url}/assets/usage")
    page.get_by_role("button", name="Materialize").first.click()
    # Dagster confirms that raw_usage is materialized too, because both are one multi-asset.
    page.get_by_role("button", name="Confirm").click()
    page.get_by_role("button", name=choice, exact=True).click()


def launch_backfill(page: Page) -> None:
    """Launch the backfill; for a single partition, Dagster launches a run."""
    page.get_by_role("button", name=re.compile(r"^Launch (backfill|1 run)$")).click()
    page.get_by_role("button", name=re.compile(r"^Launch")).wait_for(state="hidden")
