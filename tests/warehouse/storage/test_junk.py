"""Files of a file manager and copied files and folders in the data folder are ignored, and double no row."""

import shutil
from pathlib import Path

import pytest

from tests.support.raw_responses import WINDOW, call, create_folder, fold, response
from warehouse.checks.verification import Verification
from warehouse.outputs.query import run_query
from warehouse.snapshot.publish import publish

JUNK = (".DS_Store", "Thumbs.db", "desktop.ini", "._usage", "x~", "notes copy.txt", ".x.parquet", "x (1).parquet")


@pytest.mark.parametrize("mark", [" copy", " (1)", " - Copy", "~"])
def test_junk_and_copies_are_ignored(tmp_path: Path, mark: str) -> None:
    folder = create_folder(tmp_path)
    fold(folder, response([call()], 1))
    for layer in ("raw", "lake"):
        window = folder.root / layer / "usage" / "account=default" / f"window_start={WINDOW.key}"
        parts = (window, window.parent, window.parent.parent)
        for part in (*parts, folder.root / layer):
            for name in JUNK:
                (part / name).touch()
        for file in [path for path in window.iterdir() if path.name not in JUNK]:
            shutil.copy(file, file.with_name(f"{file.stem}{mark}.parquet"))
        for part in parts:
            shutil.copytree(part, part.with_name(f"{part.name}{mark}"))
    publish(folder, full=True)
    assert list(run_query(folder, "SELECT account, record_id FROM usage").rows) == [("default", "a")]
    assert list(run_query(folder, "SELECT count(*) FROM pulls").rows) == [(1,)]
    assert folder.accounts() == ["default"]
    assert list(map(str, Verification(folder=folder).find_mismatches())) == []
