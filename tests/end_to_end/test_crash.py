"""A short run of `make crash`: each command is killed at two random moments and then run again."""

import re
import subprocess
import sys

import pytest

from benchmarks.crash.cases import CASES
from pipelines.settings import PROJECT


@pytest.mark.timeout(900)
def test_each_command_produces_the_same_tables_after_it_was_killed() -> None:
    command = [sys.executable, "-m", "benchmarks.crash", "--kills", "2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=880, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^(\w+) +2 +\d+ +\d+ +0 ", done.stdout, re.MULTILINE) == list(CASES)
