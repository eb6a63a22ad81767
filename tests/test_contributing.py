"""The steps of CONTRIBUTING.md, applied to a copy of the project."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
STEP = re.compile(
    r"(?:New file `(?P<new>[^`]+)`|In `(?P<old>[^`]+)`, (?P<where>below|above|instead of) `(?P<line>[^`]+)`):\n\n"
    r" +```\w+\n(?P<code>.*?)\n   ```\n",
    re.DOTALL,
)

#: The script that checks the result of all steps; it runs in the copy.
CHECKS = """
import json
from datetime import UTC, datetime
from pathlib import Path

from pipelines.defs.build import build_definitions
from pipelines.generate_docs import write_documentation
from pipelines.settings import load_settings
from warehouse.schema import tables as schemas
from warehouse.lake.fold import fold_window
from warehouse.storage.paths import DataFolder
from warehouse.snapshot.publish import publish
from warehouse.outputs.query import run_query
from warehouse.raw.log import RawResponse, RawLog
from warehouse.windows import window_of_key

here = Path.cwd()
write_documentation(here)
marts, tables = ((here / "docs" / name).read_text() for name in ("marts.md", "tables.md"))
assert "## `longest_calls`" in marts and "| `agent` |" in tables and "## `voicemails`" in tables

assets = build_definitions(load_settings({}, here)).assets
keys = {spec.key.to_user_string() for asset in assets for spec in asset.specs}
assert {"marts/longest_calls", "usage", "voicemails", "warehouse/voicemails"} <= keys

folder, window = DataFolder(here / "data", here / "state"), window_of_key("2024-03-01")


def save_and_fold(table, **record):
    response = RawResponse(
        request_start=window.start,
        request_end=window.end,
        usage_types=None,
        reason="pull",
        pull_id="1",
        complete=True,
        pulled_at=datetime(2024, 3, 9, tzinfo=UTC),
        rows=1,
        body=json.dumps([record]).encode(),
    )
    RawLog(folder, "default", table.datasets[0]).append(window, response)
    fold_window(folder, table, "default", window)


def query(sql):
    return [tuple(row) for row in run_query(folder, sql).rows]


at = "2024-03-02T10:00:00Z"
save_and_fold(schemas.USAGE, recordId="a", usage="call", userId="u", startTimeUTC=at, duration="7", agentName="Ada")
save_and_fold(schemas.TABLES["voicemails"], recordId="b", userId="u", dateTimeUTC=at)
publish(folder)
assert query("SELECT user_id, longest_minutes FROM marts.longest_calls") == [("u", 7.0)]
assert query("SELECT agent FROM usage") == [("Ada",)]
assert query("SELECT record_id, user_id FROM voicemails") == [("b", "u")]
"""


def apply(step: re.Match[str], root: Path) -> None:
    # The code is in a list item, indented by three spaces.
    code = re.sub(r"^   ", "", step["code"], flags=re.MULTILINE)
    if step["new"]:
        (root / step["new"]).write_text(f"{code}\n")
        return
    path = root / step["old"]
    text, line = path.read_text(), f"{step['line']}\n"
    assert text.count(f"\n{line}") == 1, f"{step['old']} must contain this line once: {line}"
    replaced = {"below": f"{line}{code}\n", "above": f"{code}\n{line}", "instead of": f"{code}\n"}[step["where"]]
    path.write_text(text.replace(f"\n{line}", f"\n{replaced}"))


def test_the_steps_add_a_mart_a_column_and_a_dataset(tmp_path: Path) -> None:
    for name in ("iplum_resource", "warehouse", "pipelines", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "images"))
    shutil.copy(ROOT / "README.md", tmp_path)
    steps = list(STEP.finditer(GUIDE))
    assert len(steps) == len(re.findall(r"New file `|In `[^`]+`, (?:below|above|instead)", GUIDE)) > 10
    for step in steps:
        apply(step, tmp_path)
    completed = subprocess.run(
        [sys.executable, "-c", CHECKS], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr


@pytest.mark.parametrize("path", re.findall(r"`(tests/[^`*]+)`", GUIDE))
def test_the_test_files_named_in_the_guide_exist(path: str) -> None:
    assert (ROOT / path).exists()
