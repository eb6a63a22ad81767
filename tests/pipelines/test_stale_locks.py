"""Lock files that a killed process or a restarted machine left."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.dagster_home import open_instance
from pipelines.settings import load_settings

# Takes one lock, reports it, and waits for its end. The PID 1 of another machine's lock file exists everywhere.
HOLD = """
import sys
from datetime import date
from pathlib import Path

from iplum_resource.limits.rate_limit_state import FileStateStore
from pipelines.warehouse_folder import open_folder
from pipelines.settings import load_settings
from warehouse.retention import legal_holds
from warehouse.snapshot.publish import hold_publish_lock

name, root = sys.argv[1], Path(sys.argv[2])
folder = open_folder(load_settings({"IPLUM_DATA": str(root / "data")}, root))
folder.create_locks_folder()
if name == "publish.lock":
    lock = hold_publish_lock(folder, wait_seconds=5)
elif name == "holds.lock":
    lock = legal_holds._lock(folder)
else:
    lock = FileStateStore(str(folder.limiter_file("default")))._lock
with lock:
    print("held", flush=True)
    if len(sys.argv) > 3:
        sys.stdin.read()
"""


@pytest.mark.parametrize("name", ["publish.lock", "holds.lock", "requests-default.lock"])
def test_the_lock_of_a_killed_process_does_not_block(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-c", HOLD, name, str(tmp_path)]
    with subprocess.Popen([*command, "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        process.kill()
    file = tmp_path / "data" / "locks" / name
    file.write_text("1\nanother-host\n")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (done.stdout, done.returncode) == ("held\n", 0), done.stderr


def test_the_lock_of_a_killed_start_of_the_history_does_not_block(tmp_path: Path) -> None:
    settings = load_settings({"IPLUM_DATA": str(tmp_path / "data")}, tmp_path)
    with open_instance(settings):
        pass
    (tmp_path / "data" / "dagster" / "tables.lock").write_text("1\nanother-host\n")
    with open_instance(settings) as instance:
        assert instance.get_runs() == []
