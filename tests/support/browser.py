"""Chromium on Dagster's UI, as a person uses it."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

#: As root in a container there is no sandbox; the rest keeps the browser from talking to anybody but the UI.
_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
_MILLISECONDS = 240_000


def find_chromium() -> str | None:
    """Find a Chromium that the system has; none is ever downloaded."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def open_browser() -> Iterator[Page]:
    """Open a window with a profile of its own, for as long as the block lasts."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=_FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(_MILLISECONDS)
        try:
            yield page
        finally:
            browser.close()


def open_backfill(page: Page, url: str, *, choice: str) -> None:
    """Open the dialog of a backfill of `usage` and choose windows of the last 90 days by its button `choice`."""
    page.goto(f"{url}/assets/usage")
    page.get_by_role("button", name="Materialize").first.click()
    # Dagster says that raw_usage is made along with it.
    page.get_by_role("button", name="Confirm").click()
    page.get_by_role("button", name=choice, exact=True).click()


def launch_backfill(page: Page) -> None:
    """Launch it; of one window alone it is a run."""
    page.get_by_role("button", name=re.compile(r"^Launch (backfill|1 run)$")).click()
    page.get_by_role("button", name=re.compile(r"^Launch")).wait_for(state="hidden")
