"""CPU time, elapsed time and memory of a program and its child processes."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

# Linux reports the peak of a process in KiB, macOS in bytes.
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024


class ProgramFailed(Exception):
    """A measured program failed. The message has the last lines of its output."""


@dataclass(frozen=True)
class Cost:
    """CPU time (user and system) and wall time in seconds, and the peak memory of one process in bytes.

    `began` is the start time in seconds on the monotonic clock.
    """

    cpu: float
    wall: float
    peak: float
    began: float = 0.0


def measure(command: Sequence[str | Path], environ: Mapping[str, str], *, folder: Path) -> Cost:
    """Run a program and measure it with its child processes. Its output goes to a file in `folder`.

    The peak memory of a program is at least that of the process that starts it, so this process must stay small:
    memory-intensive work runs in programs of its own.

    Raises:
        ProgramFailed: The program exited with an error.

    """
    log = folder / "output.txt"
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - commands of the benchmarks
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, env=environ
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    if process.returncode:
        last_lines = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
        raise ProgramFailed(f"{Path(command[0]).name} exited with {process.returncode}:\n{last_lines}")
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss * _PEAK_UNIT, began)


def take_median(costs: Sequence[Cost]) -> Cost:
    """Return the median of each figure over the rounds of a run."""
    return Cost(
        cpu=median(cost.cpu for cost in costs),
        wall=median(cost.wall for cost in costs),
        peak=median(cost.peak for cost in costs),
    )
