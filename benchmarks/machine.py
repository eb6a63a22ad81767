"""What the figures were measured on: the machine in general words, and the versions that count.

Belongs here: nothing that tells whose machine it is, such as its name or a path.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.workshop import RIVALS
from pipelines.settings import PROJECT

_OURS = ("dagster", "duckdb", "pandas", "pyarrow", "requests")


@dataclass(frozen=True)
class Circumstances:
    """When, on what and with what something was measured."""

    day: str
    rounds: int
    machine: str
    commit: str
    versions: str

    def __str__(self) -> str:
        return f"{self.day}, {self.rounds} rounds, {self.machine}, commit {self.commit}; {self.versions}"


def tell_circumstances(now: datetime, *, rounds: int) -> Circumstances:
    """Name processor, cores, memory, system, commit and versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    ours = [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in _OURS)]
    return Circumstances(
        day=f"{now:%Y-%m-%d}",
        rounds=rounds,
        machine=f"{_name_processor()}, {os.cpu_count()} cores, {memory / 1e9:.0f} GB, {platform.system()}",
        commit=_name_commit(),
        versions=f"{', '.join(ours)}; the rival: {', '.join(_list_rivals())}",
    )


def _name_processor() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


def _name_commit() -> str:
    try:
        git = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - wherever git is
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return git.stdout.strip()


def _list_rivals() -> list[str]:
    pinned = (RIVALS / "requirements.txt").read_text()
    return [f"{name} {found}" for name, found in re.findall(r"^(dlt|duckdb)==(\S+)", pinned, re.MULTILINE)]
