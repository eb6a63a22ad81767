"""The steps of CONTRIBUTING.md, followed to the letter on a copy of the project."""

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

#: What must follow from the three recipes together; it runs in the copy.
PROOF = """
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


def keep(table, **record):
    answer = RawResponse(
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
    RawLog(folder, "default", table.datasets[0]).append(window, answer)
    fold_window(folder, table, "default", window)


def ask(sql):
    return [tuple(row) for row in run_query(folder, sql).rows]


at = "2024-03-02T10:00:00Z"
keep(schemas.USAGE, recordId="a", usage="call", userId="u", startTimeUTC=at, duration="7", agentName="Ada")
keep(schemas.TABLES["voicemails"], recordId="b", userId="u", dateTimeUTC=at)
publish(folder)
assert ask("SELECT user_id, longest_minutes FROM marts.longest_calls") == [("u", 7.0)]
assert ask("SELECT agent FROM usage") == [("Ada",)]
assert ask("SELECT record_id, user_id FROM voicemails") == [("b", "u")]
"""


def follow(step: re.Match[str], root: Path) -> None:
    # The code stands in a list, three blanks in.
    code = re.sub(r"^   ", "", step["code"], flags=re.MULTILINE)
    if step["new"]:
        (root / step["new"]).write_text(f"{code}\n")
        return
    path = root / step["old"]
    text, line = path.read_text(), f"{step['line']}\n"
    assert text.count(f"\n{line}") == 1, f"{step['old']} has no such line any more, or several: {line}"
    replaced = {"below": f"{line}{code}\n", "above": f"{code}\n{line}", "instead of": f"{code}\n"}[step["where"]]
    path.write_text(text.replace(f"\n{line}", f"\n{replaced}"))


def test_the_steps_lead_to_a_mart_a_column_and_a_dataset(tmp_path: Path) -> None:
    for name in ("iplum_resource", "warehouse", "pipelines", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "images"))
    shutil.copy(ROOT / "README.md", tmp_path)
    steps = list(STEP.finditer(GUIDE))
    assert len(steps) == len(re.findall(r"New file `|In `[^`]+`, (?:below|above|instead)", GUIDE)) > 10
    for step in steps:
        follow(step, tmp_path)
    done = subprocess.run([sys.executable, "-c", PROOF], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", re.findall(r"`(tests/[^`*]+)`", GUIDE))
def test_each_test_that_the_guide_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()
