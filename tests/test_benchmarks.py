"""Benchmarks: they run, their generated data is correct, and their page is up to date. Timings are not checked."""

import importlib.util
import json
import re
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
import requests

from benchmarks import __main__ as command
from benchmarks.cases import BENCHMARKS, year
from benchmarks.costs import ProgramFailed, measure
from benchmarks.findings import TIMES, Findings, Line, Point, at_least, at_most
from benchmarks.history import Span, invent
from benchmarks.idle_sync import build_idle
from benchmarks.lake import ACCOUNT, open_data, write_history
from benchmarks.machine import Circumstances
from benchmarks.responses import render_rows
from benchmarks.results import Page
from benchmarks.rivals import bare_script
from benchmarks.workshop import Workshop
from pipelines.defs.build import build_definitions
from pipelines.defs.partitions import build_range_tags
from pipelines.settings import PROJECT, load_settings
from tests.support.raw_responses import at, fold, response
from warehouse.lake.files import read_rows
from warehouse.schema.tables import USAGE
from warehouse.snapshot.publish import publish
from warehouse.windows import window_of_key

SPAN = Span(date(2024, 2, 26), date(2024, 3, 11), 400)
CIRCUMSTANCES = Circumstances("2026-01-01", 3, "a machine", "abc", "versions", busy=0)


def test_a_benchmark_runs_and_writes_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        command.main(["startup"], rounds=1, quick=True, offline=True, output=tmp_path)
    assert exited.value.code == 0
    page = (tmp_path / "RESULTS.md").read_text()
    assert re.search(r"\[startup\]\(#startup\) +\| iplum --help +\| \d+\.\d\d s +\| ≤ 0.4 s +\|", page)
    assert "iplum --help" in capsys.readouterr().out
    assert (tmp_path / "profiles" / "imports.txt").read_text().splitlines()
    written = page + (tmp_path / "results.json").read_text()
    assert socket.gethostname() not in written
    assert str(PROJECT) not in written


def test_the_api_returns_the_rows_of_a_range_and_records_request_times(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, quick=True)
    with workshop.serve(workshop.prepare_responses(SPAN.first, SPAN.last, SPAN.rows)) as api:
        with requests.Session() as session:
            whole = bare_script.fetch(session, api.url, date(2024, 3, 1), date(2024, 3, 6))
            halves = [
                bare_script.fetch(session, api.url, date(2024, 3, 1), date(2024, 3, 3)),
                bare_script.fetch(session, api.url, date(2024, 3, 3), date(2024, 3, 6)),
            ]
            outside = bare_script.fetch(session, api.url, date(2024, 4, 1), date(2024, 4, 6))
        times = api.read_request_times()
        assert requests.get(f"{api.url}/usage/getusage", timeout=5).status_code == 405
    assert len(whole) == SPAN.sizes()[1]
    assert [*halves[0], *halves[1]] == whole
    assert outside == []
    assert len(times.requested_at) == len(times.responded_at) == 4
    assert times.span > 0


def test_the_generated_lake_equals_the_folded_responses_of_the_api(tmp_path: Path) -> None:
    direct, pulled = open_data(tmp_path / "direct"), open_data(tmp_path / "pulled")
    write_history(direct, SPAN)
    window = SPAN.windows()[1]
    rows = [json.loads(row) for row in render_rows(invent(window, SPAN.sizes()[1]))]
    hours_until_closed = (window.end - at(0)).total_seconds() / 3600
    fold(pulled, response(rows, hours_until_closed + 1, window=window), window=window)
    frames = [read_rows(folder, USAGE, ACCOUNT, window) for folder in (direct, pulled)]
    times_seen = ["first_seen_at", "last_seen_at"]
    first, second = (pd.DataFrame(frame).drop(columns=times_seen) for frame in frames)
    pd.testing.assert_frame_equal(first, second)


def test_the_generated_lake_is_published_without_folding(tmp_path: Path) -> None:
    folder = open_data(tmp_path)
    write_history(folder, SPAN)
    publication = publish(folder)
    assert publication.refolded == 0
    assert publication.rows["usage"] == sum(SPAN.sizes())


def test_the_idle_run_materializes_the_assets_of_a_sync_without_writing_files(tmp_path: Path) -> None:
    settings = load_settings({"IPLUM_DATA": str(tmp_path), "IPLUM_START_DATE": "2024-01-01"}, tmp_path)
    idle = build_idle(settings).resolve_job_def("sync")
    real = build_definitions(settings).resolve_job_def("sync")
    assert idle.asset_layer.executable_asset_keys == real.asset_layer.executable_asset_keys
    with dg.DagsterInstance.ephemeral() as instance:
        tags = build_range_tags([window_of_key("2024-01-01"), window_of_key("2024-01-06")])
        result = idle.execute_in_process(instance=instance, tags=tags)
    keys = [event.asset_key for event in result.all_events if event.is_step_materialization]
    assert keys.count(dg.AssetKey("usage")) == 2
    assert keys.count(dg.AssetKey("report")) == 1
    assert list(tmp_path.iterdir()) == []


def test_no_generated_window_looks_truncated() -> None:
    sizes = Span(date(2015, 1, 1), date(2025, 1, 1), 1_600_000).sizes()
    assert len(set(sizes)) == len(sizes)
    assert not [size for size in sizes if size % 50 == 0]
    assert sizes[-1] == max(sizes)


def test_a_measurement_includes_child_processes_and_reports_errors(tmp_path: Path) -> None:
    busy_loop = "import time\nwhile time.process_time() < 0.2: pass"
    child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy_loop!r}], check=True)"
    assert measure([sys.executable, "-c", child], {}, folder=tmp_path).cpu >= 0.2
    with pytest.raises(ProgramFailed, match="its error message"):
        measure([sys.executable, "-c", "import sys; sys.exit('its error message')"], {}, folder=tmp_path)


def test_saving_one_section_keeps_the_others(tmp_path: Path) -> None:
    page = Page(tmp_path, {"first": "A question.", "second": "Another."})
    points = [Point("CPU", 10, 1.0), Point("CPU", 100, 9.0)]
    page.save("second", Findings([at_most("size", 3, 2)], points=points), CIRCUMSTANCES)
    page.save("first", Findings([at_least("speed", 3, 2)], remark="Why."), CIRCUMSTANCES)
    page.save("first", Findings([Line("speed", "unknown", "", None)]), CIRCUMSTANCES)
    text = re.sub(r" +", " ", (tmp_path / "RESULTS.md").read_text())
    assert f"| [second](#second) | size | 3.00 {TIMES} | ≤ 2 {TIMES} | **no** |" in text
    assert "| [first](#first) | speed | unknown | | |" in text
    assert text.index("## first") < text.index("## second")
    assert text.count("abc") == 1
    assert "Other programs were using" not in text
    assert (tmp_path / "second.svg").read_text().startswith("<svg")
    page.save("first", Findings([]), replace(CIRCUMSTANCES, busy=90))
    assert "first (90 %)" in (tmp_path / "RESULTS.md").read_text()


def test_profiles_are_written_and_linked(tmp_path: Path) -> None:
    page = Page(tmp_path, {"first": "A question."})
    page.save("first", Findings([], profiles={"hot": "fast", "other": "fast"}), CIRCUMSTANCES)
    linked = re.findall(r"\]\(([^)]+)\)", page.render().partition("## first")[2])
    assert linked == ["profiles/hot.txt", "profiles/other.txt"]
    assert all((tmp_path / path).exists() for path in linked)


def test_the_committed_page_is_up_to_date() -> None:
    page = Page(PROJECT / "benchmarks", {name: benchmark.title for name, benchmark in BENCHMARKS.items()})
    assert (page.folder / "RESULTS.md").read_text() == page.render()


def test_functions_named_for_profiles_exist() -> None:
    for module, function in [function for part in year.PARTS.values() for function in part]:
        file = Path(str(importlib.util.find_spec(module.partition(".")[0]).origin)).parent  # type: ignore[union-attr]
        source = file.parent / f"{module.replace('.', '/')}.py"
        assert f"def {function}(" in source.read_text()


def test_an_unknown_benchmark_is_rejected_by_name() -> None:
    completed = subprocess.run(
        [sys.executable, "-m", "benchmarks", "yaer"], capture_output=True, text=True, cwd=PROJECT, check=False
    )
    assert completed.returncode == 2
    assert "yaer" in completed.stderr
