"""Command line of the crash tests: one line per case, and exit code 1 if a table differs after a kill."""

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
from benchmarks.crash.trials import Tally, prepare, run_case
from pipelines.settings import PROJECT


def main() -> None:
    """Run the selected cases."""
    parser = argparse.ArgumentParser(prog="benchmarks.crash", description=(_description or "").splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--kills", type=int, default=100, help="kills per case (default: 100)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random moments (default: 1)")
    arguments = parser.parse_args()
    print(f"{'command':<10}{'kills':>7}{'running':>9}{'states':>8}{'errors':>8}{'seconds':>9}", flush=True)
    with tempfile.TemporaryDirectory(prefix="iplum-crash-") as folder, _run_standin() as url:
        synced = prepare(url, Path(folder) / "synced")
        errors = 0
        for name in arguments.cases or CASES:
            began = time.monotonic()
            rng = random.Random(f"{arguments.seed}/{name}")
            tally = run_case(CASES[name], synced, Path(folder) / name, kills=arguments.kills, rng=rng)
            _show(name, tally, seconds=time.monotonic() - began)
            errors += len(tally.errors)
    sys.exit(1 if errors else 0)


def _show(name: str, tally: Tally, *, seconds: float) -> None:
    figures = (tally.kills, tally.killed_while_running, len(tally.states), len(tally.errors), round(seconds))
    widths = (7, 9, 8, 8, 9)
    print(name.ljust(10) + "".join(str(f).rjust(w) for f, w in zip(figures, widths, strict=True)), flush=True)
    for error in tally.errors:
        print(f"  {error}", flush=True)


@contextmanager
def _run_standin() -> Iterator[str]:
    """Run the stand-in in its own process."""
    command = [sys.executable, "-m", "pipelines.cli", "standin", "--port", "0", "--rows-per-day", "12"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            yield line.split()[-1]
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
