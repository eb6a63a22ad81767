"""The machine and the library versions behind the figures."""

import os
import platform
import re
import subprocess
import time
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.workshop import RIVALS
from pipelines.settings import PROJECT

_OURS = ("dagster", "duckdb", "pandas", "pyarrow", "requests")


@dataclass(frozen=True)
class Circumstances:
    """Time, machine and versions of a measurement.

    `busy` is the percentage of CPU time that other programs used when the measurement started.
    """

    day: str
    rounds: int
    machine: str
    commit: str
    versions: str
    busy: int = field(compare=False)

    def __str__(self) -> str:
        rounds = "1 round" if self.rounds == 1 else f"{self.rounds} rounds"
        return f"{self.day}, {rounds}, {self.machine}, commit {self.commit}; {self.versions}"


def describe_circumstances(now: datetime, *, rounds: int, busy: int) -> Circumstances:
    """Return the processor, cores, memory, system, commit and versions of this measurement."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    ours = [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in _OURS)]
    return Circumstances(
        day=f"{now:%Y-%m-%d}",
        rounds=rounds,
        machine=f"{_read_processor_name()}, {os.cpu_count()} cores, {memory / 1e9:.0f} GB, {platform.system()}",
        commit=_read_commit(),
        versions=f"{', '.join(ours)}; alternatives: {', '.join(_list_rivals())}",
        busy=busy,
    )


def measure_cpu_use(*, seconds: float = 2) -> int:
    """Return the percentage of CPU time in use over some seconds, or 0 if the system does not report it."""
    before = _read_ticks()
    time.sleep(seconds)
    idle, total = (now - then for now, then in zip(_read_ticks(), before, strict=True))
    return round(100 * (1 - idle / total)) if total else 0


def _read_ticks() -> tuple[int, int]:
    """Return the idle and total CPU ticks since the machine started."""
    try:
        ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    except OSError:
        return 0, 0
    return ticks[3] + ticks[4], sum(ticks)


def _read_processor_name() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


def _read_commit() -> str:
    try:
        git = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - git from PATH
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
