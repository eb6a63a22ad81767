"""The HTML report: charts drawn in a real browser, escaped text, offline use and several accounts."""

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

INJECTION = "</script><script>document.title='injected'</script><img src=x onerror=alert(1)>"
WINDOWS = [window_of_key(key) for key in ("2023-03-16", "2023-03-21", "2023-03-26")]


def fold_responses(folder: DataFolder) -> None:
    for number, window in enumerate(WINDOWS):
        records = []
        for hour in range(0, 100, 7):
            start = f"{window.start + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}"
            usage = "text" if hour % 2 else "call"
            direction = "in" if hour % 3 else "out"
            parties = {"from": INJECTION, "to": INJECTION, "userId": f"{INJECTION}{hour % 2}"}
            records.append(call(f"{number}-{hour}", start, usage=usage, direction=direction, **parties))
        fold(folder, response(records, 24 * number, window=window), window=window)
        recording = {"recordId": f"r{number}", "dateTimeUTC": records[0]["startTimeUTC"], "direction": "in"}
        recordings: RawResponse = response([recording], 24 * number, window=window, types=None)
        fold(folder, recordings, window=window, table=RECORDINGS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> DataFolder:
    folder = create_folder(tmp_path_factory.mktemp("report"))
    fold_responses(folder)
    publish(folder, MartSettings(default=AccountSettings(time_zone="America/New_York")))
    return folder


def render_in_browser(page: Path, profile: Path, *options: str) -> tuple[str, str]:
    """Open a page in Chromium and return its rendered HTML and its console messages."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("Chromium is not installed")
    result = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={profile}", "--enable-logging=stderr", "--virtual-time-budget=20000",
            *options, "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return result.stdout, "\n".join(line for line in result.stderr.splitlines() if "CONSOLE" in line)


@pytest.mark.parametrize("options", [(), ("--blink-settings=preferredColorScheme=0",), ("--window-size=390,800",)])
def test_all_charts_are_drawn_without_console_messages(
    folder: DataFolder, tmp_path: Path, options: tuple[str, ...]
) -> None:
    page, console = render_in_browser(write_report(folder), tmp_path / "profile", *options)
    assert console == ""
    assert f'data-drawn="{len(CHARTS)}"' in page
    for name in CHARTS:
        chart = page.partition(f'id="chart-{name}"')[2].partition("</section>")[0]
        assert chart.count("<path") > 3, name
    assert "<title>iPlum report</title>" in page, "a script in a record was run"


def test_the_bundled_scripts_have_the_locked_versions() -> None:
    bundle = (package_files("warehouse") / "outputs/templates/vega.js").read_text(encoding="utf-8")
    assert bundle.startswith(write_notice()), "rebuild the bundle: python -m tests.support.vega_bundle"
    assert "</script" not in bundle


def test_text_of_records_is_escaped(folder: DataFolder) -> None:
    page = render_report(folder)
    assert INJECTION not in page
    assert html.escape(INJECTION, quote=False).replace("'", "&#39;") in page
    data = page.partition('id="specifications">')[2].partition("</script>")[0]
    assert set(json.loads(data)) == set(CHARTS)


def test_the_report_loads_nothing_from_the_network(folder: DataFolder) -> None:
    markup = re.sub(r"<script.*?</script>", "", render_report(folder), flags=re.DOTALL)
    assert not re.search(r"<[^>]*(src|href|action)=|@import|url\(", markup)


def test_the_report_is_private_and_written_to_the_given_path(folder: DataFolder, tmp_path: Path) -> None:
    path = write_report(folder, tmp_path / "mine.html")
    assert path == tmp_path / "mine.html"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("<!DOCTYPE html>")


def test_the_report_of_an_empty_warehouse_has_no_charts(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    with pytest.raises(NothingPublished):
        write_report(folder)
    publish(folder)
    page, console = render_in_browser(write_report(folder), tmp_path / "profile")
    assert console == ""
    assert 'data-drawn="0"' in page


def test_two_accounts_are_listed_with_their_time_zones(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    fold(folder, response([call("a"), call("b", usage="text")], 1))
    for path in list(folder.root.glob("*/usage/account=default")):
        shutil.copytree(path, path.with_name("account=west"))
    publish(folder, MartSettings(accounts={"west": AccountSettings(time_zone="America/Los_Angeles")}))
    page = render_report(folder)
    assert "<b>default</b>:\nData up to" in page
    assert page.count('<td class="name">west</td>') >= 2
    assert {"Times are in UTC", "Times are in America/Los_Angeles"} <= set(re.findall(r"Times are in [\w/]+", page))
    data = json.loads(page.partition('id="specifications">')[2].partition("</script>")[0])
    kinds = {row["kind"] for row in data["credits"]["datasets"]["rows"]}
    assert "west, call, external" in kinds


def test_channels_are_named_in_the_plural(tmp_path: Path) -> None:
    folder = create_folder(tmp_path)
    fold(folder, response([call("a", usage="fax"), call("b", usage="mms")], 1))
    publish(folder)
    page = render_report(folder)
    assert "faxes in 30 days" in page
    assert "other records in 30 days" in page
