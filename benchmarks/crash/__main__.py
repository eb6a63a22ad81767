"""Playing the cases from the command line: a line for each, and exit code 1 when a kill left a trace."""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.crash import __doc__ as _description
from benchmarks.crash.cases import CASES
from benchmarks.crash.trials import Tally, play, prepare
from pipelines.settings import PROJECT


def main() -> None:
    """Run the selected cases."""
    parser = argparse.ArgumentParser(prog="benchmarks.crash", description=(_description or "").splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--kills", type=int, default=100, help="of each case (100)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (1)")
    chosen = parser.parse_args()
    print(f"{'killed':<10}{'kills':>7}{'in time':>9}{'states':>8}{'traces':>8}{'seconds':>9}", flush=True)
    with tempfile.TemporaryDirectory(prefix="iplum-crash-") as folder, _run_standin() as url:
        synced = prepare(url, Path(folder) / "synced")
        traces = 0
        for name in chosen.cases or CASES:
            began = time.monotonic()
            chance = random.Random(f"{chosen.seed}/{name}")
            tally = play(CASES[name], synced, Path(folder) / name, kills=chosen.kills, chance=chance)
            _show(name, tally, seconds=time.monotonic() - began)
            traces += len(tally.traces)
    sys.exit(1 if traces else 0)


def _show(name: str, tally: Tally, *, seconds: float) -> None:
    figures = (tally.kills, tally.in_time, len(tally.states), len(tally.traces), round(seconds))
    widths = (7, 9, 8, 8, 9)
    print(name.ljust(10) + "".join(str(f).rjust(w) for f, w in zip(figures, widths, strict=True)), flush=True)
    for trace in tally.traces:
        print(f"  {trace}", flush=True)


@contextmanager
def _run_standin() -> Iterator[str]:
    """Run the stand-in as another process."""
    command = [sys.executable, "-m", "pipelines.cli", "standin", "--port", "0", "--rows-per-day", "12"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            yield line.split()[-1]
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
