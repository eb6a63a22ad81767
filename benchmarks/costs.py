"""CPU time, elapsed time and memory of a program and its child processes."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

# Linux counts the peak of a process in KiB, macOS in bytes.
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024


class ProgramFailed(Exception):
    """A program that should have been measured ended with an error; the text has its last words."""


@dataclass(frozen=True)
class Cost:
    """Seconds of processor (user and system) and of the clock, and the largest memory of one process, in bytes.

    `began` is when it was started, in seconds of the machine's monotonic clock.
    """

    cpu: float
    wall: float
    peak: float
    began: float = 0.0


def measure(command: Sequence[str | Path], environ: Mapping[str, str], *, folder: Path) -> Cost:
    """Run a program and measure it with its descendants; its output goes to a file in `folder`.

    A program's peak begins with that of the process that starts it, so this one must stay small: whatever is
    heavy is a program of its own. Raises `ProgramFailed`.
    """
    log = folder / "output.txt"
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the benchmark's own
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, env=environ
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    if process.returncode:
        last_words = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
        raise ProgramFailed(f"{Path(command[0]).name} ended with {process.returncode}:\n{last_words}")
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss * _PEAK_UNIT, began)


def take_median(costs: Sequence[Cost]) -> Cost:
    """Return the median of each figure over the rounds of a run."""
    return Cost(
        cpu=median(cost.cpu for cost in costs),
        wall=median(cost.wall for cost in costs),
        peak=median(cost.peak for cost in costs),
    )
