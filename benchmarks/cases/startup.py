"""Start-up time of `iplum --help`, and time until the first request of `iplum sync`."""

import re
import sys
from datetime import date
from statistics import median

from benchmarks.costs import take_median
from benchmarks.findings import Findings, at_most
from benchmarks.workshop import IPLUM, Workshop

FIRST, LAST = date(2024, 1, 1), date(2024, 1, 6)
_SHOWN = 25


def run(workshop: Workshop) -> Findings:
    """Run both commands several times."""
    helps, waits, used = [], [], []
    with workshop.serve(workshop.prepare_responses(FIRST, LAST, 100)) as api:
        for _ in range(workshop.rounds):
            helps.append(workshop.measure(IPLUM, "--help"))
            data = workshop.new_folder("startup")
            cost = workshop.iplum("sync", "--since", str(FIRST), "--until", str(LAST), data=data, api=api)
            waits.append(min(api.read_request_times().requested_at) - cost.began)
            used.append(cost)
    shown = take_median(helps)
    return Findings(
        [
            at_most("iplum --help", shown.wall, 0.4, unit="s"),
            at_most("iplum sync until its first request", median(waits), 3, unit="s"),
        ],
        table=[
            ("", "CPU s", "wall s"),
            ("iplum --help", f"{shown.cpu:.2f}", f"{shown.wall:.2f}"),
            ("iplum sync of one window", f"{take_median(used).cpu:.2f}", f"{take_median(used).wall:.2f}"),
        ],
        profiles={"imports": _list_imports(workshop)},
    )


def _list_imports(workshop: Workshop) -> str:
    """Return the slowest imports of `iplum sync`, with the cumulative time of each in microseconds."""
    workshop.measure(sys.executable, "-X", "importtime", "-c", "import pipelines.runs.sync")
    lines = re.findall(r"import time:\s+(\d+) \|\s+(\d+) \|( +\S+)", (workshop.folder / "output.txt").read_text())
    longest = sorted(lines, key=lambda line: -int(line[1]))[:_SHOWN]
    return "".join(f"{int(cumulative):>10} {name.strip()}\n" for _, cumulative, name in longest)
