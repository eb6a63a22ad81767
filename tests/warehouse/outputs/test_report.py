"""The report in a real browser: all charts drawn, no error, nothing of what users wrote taken for HTML."""

import html
import json
import re
import shutil
import stat
import subprocess
from datetime import timedelta
from importlib.resources import files as package_files
from pathlib import Path

import pytest

from tests.support.raw_responses import call, create_folder, fold, response
from tests.support.vega_bundle import write_notice
from warehouse.errors import NothingPublished
from warehouse.outputs.report import render_report, write_report
from warehouse.outputs.report_charts import CHARTS
from warehouse.raw.log import RawResponse
from warehouse.schema.tables import RECORDINGS
from warehouse.snapshot.marts import AccountSettings, MartSettings
from warehouse.snapshot.publish import publish
from warehouse.storage.paths import DataFolder
from warehouse.windows import window_of_key

EVIL = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>"
WINDOWS = [window_of_key(key) for key in ("2023-03-16", "2023-03-21", "2023-03-26")]


def make_answers(folder: DataFolder) -> None:
    for number, window in enumerate(WINDOWS):
        records = []
        for hour in range(0, 100, 7):
            start = f"{window.start + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}"
            usage = "text" if hour % 2 else "call"
            way = "in" if hour % 3 else "out"
            sides = {"from": EVIL, "to": EVIL, "userId": f"{EVIL}{hour % 2}"}
            records.append(call(f"{number}-{hour}", start, usage=usage, direction=way, **sides))
        fold(folder, response(records, 24 * number, window=window), window=window)
        recorded = {"recordId": f"r{number}", "dateTimeUTC": records[0]["startTimeUTC"], "direction": "in"}
        brought: RawResponse = response([recorded], 24 * number, window=window, types=None)
        fold(folder, brought, window=window, table=RECORDINGS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> DataFolder:
    folder = create_folder(tmp_path_factory.mktemp("report"))
    make_answers(folder)
    publish(folder, MartSettings(default=AccountSettings(time_zone="America/New_York")))
    return folder


def look(page: Path, profile: Path, *options: str) -> tuple[str, str]:
    """Open a page as a person would, and give what it became and what its console said."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("Chromium is not installed here")
    seen = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={profile}", "--enable-logging=stderr", "--virtual-time-budget=20000",
            *options, "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return seen.stdout, "\n".join(line for line in seen.stderr.splitlines() if "CONSOLE" in line)


@pytest.mark.parametrize("options", [(), ("--blink-settings=preferredColorScheme=0",), ("--window-size=390,800",)])
def test_all_charts_are_drawn_and_the_console_says_nothing(
    folder: DataFolder, tmp_path: Path, options: tuple[str, ...]
) -> None:
    page, console = look(write_report(folder), tmp_path / "profile", *options)
    assert console == ""
    assert f'data-drawn="{len(CHARTS)}"' in page
    for name in CHARTS:
        drawn = page.partition(f'id="chart-{name}"')[2].partition("</section>")[0]
        assert drawn.count("<path") > 3, name
    assert "<title>iPlum report</title>" in page, "what a user wrote was run"


def test_the_scripts_are_those_of_the_locked_versions() -> None:
    kept = (package_files("warehouse") / "outputs/templates/vega.js").read_text(encoding="utf-8")
    assert kept.startswith(write_notice()), "rebuild them: python -m tests.support.vega_bundle"
    assert "</script" not in kept


def test_what_users_wrote_is_text(folder: DataFolder) -> None:
    page = render_report(folder)
    assert EVIL not in page
    assert html.escape(EVIL, quote=False).replace("'", "&#39;") in page
    data = page.partition('id="specifications">')[2].partition("</script>")[0]
    assert set(json.loads(data)) == set(CHARTS)


def test_it_asks_nobody_for_anything(folder: DataFolder) -> None:
    markup = re.sub(r"<script.*?</script>", "", render_report(folder), flags=re.DOTALL)
    assert not re.search(r"<[^>]*(src|href|action)=|@import|url\(", markup)


def test_it_is_private_and_goes_where_it_is_told(folder: DataFolder, tmp_path: Path) -> None:
    path = write_report(folder, tmp_path / "mine.html")
    assert path == tmp_path / "mine.html"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("<!DOCTYPE html>")


def test_an_empty_warehouse_has_a_report_too(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    with pytest.raises(NothingPublished):
        write_report(folder)
    publish(folder)
    page, console = look(write_report(folder), tmp_path / "profile")
    assert console == ""
    assert 'data-drawn="0"' in page


def test_with_two_accounts_each_is_named_with_its_own_clock(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    fold(folder, response([call("a"), call("b", usage="text")], 1))
    for one in list(folder.root.glob("*/usage/account=default")):
        shutil.copytree(one, one.with_name("account=west"))
    publish(folder, MartSettings(accounts={"west": AccountSettings(time_zone="America/Los_Angeles")}))
    page = render_report(folder)
    assert "<b>default</b>:\nData up to" in page
    assert page.count('<td class="name">west</td>') >= 2
    assert {"Times are in UTC", "Times are in America/Los_Angeles"} <= set(re.findall(r"Times are in [\w/]+", page))
    data = json.loads(page.partition('id="specifications">')[2].partition("</script>")[0])
    kinds = {row["kind"] for row in data["credits"]["datasets"]["rows"]}
    assert "west, call, external" in kinds


def test_counts_are_named_in_the_plural(tmp_path: Path) -> None:
    other = create_folder(tmp_path)
    fold(other, response([call("a", usage="fax"), call("b", usage="mms")], 1))
    publish(other)
    page = render_report(other)
    assert "faxes in 30 days" in page
    assert "other records in 30 days" in page
