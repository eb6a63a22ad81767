"""Thirty windows in one range run, against a range run of the same assets that do nothing.

Both run in Dagster as `iplum sync` sets it up, so what is left is the work; the API's own processor time is
allowed on top.
"""

import sys
from datetime import date
from statistics import median

from benchmarks.costs import take_median
from benchmarks.findings import COST_HEADING, TIMES, Findings, Line, write_cost
from benchmarks.workshop import Workshop

FIRST, LAST = "2024-03-01", "2024-07-21"
WINDOWS = 30
LIMIT = 1.3
_REMARK = (
    "What is on top of a run that does nothing: two files a window and dataset, each synced to the disk, and once "
    "a run the tables, the marts and the report."
)


def run(workshop: Workshop) -> Findings:
    """Run both in turn."""
    days = ("--since", FIRST, "--until", LAST)
    answers = workshop.prepare_answers(date.fromisoformat(FIRST), date.fromisoformat(LAST), 200 * WINDOWS)
    ours, idle, api_cpu = [], [], []
    with workshop.serve(answers) as api:
        for _ in range(workshop.rounds):
            data = workshop.new_folder("windows")
            ours.append(workshop.iplum("sync", *days, data=data, api=api))
            api_cpu.append(api.read_diary().cpu)
            environ = workshop.account(workshop.new_folder("windows"), api)
            idle.append(workshop.measure(sys.executable, "-m", "benchmarks.idle_sync", FIRST, LAST, environ=environ))
    work, nothing, allowed = take_median(ours), take_median(idle), median(api_cpu)
    return Findings(
        [_compare("wall", work.wall - allowed, nothing.wall), _compare("CPU", work.cpu, nothing.cpu)],
        table=[
            COST_HEADING,
            write_cost("thirty windows", work),
            write_cost("thirty windows that do nothing", nothing),
            ["the API itself", f"{allowed:.2f}", "", ""],
        ],
        remark=_REMARK,
    )


def _compare(figure: str, work: float, nothing: float) -> Line:
    ratio = work / nothing
    what = f"thirty windows in one run, {figure} without the API's, against a run that does nothing"
    return Line(what, f"{ratio:.2f} {TIMES}", f"\u2264 {LIMIT:g} {TIMES}", ratio <= LIMIT)
