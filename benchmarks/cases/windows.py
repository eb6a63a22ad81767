"""A run over 30 windows, compared with a Dagster run of the same assets that do nothing.

Both use Dagster as `iplum sync` configures it, so the difference is the work itself. The CPU time of the API server is
subtracted from the wall time.
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
    "In addition to the idle run, a sync writes two files per window and dataset, each synced to disk, and once per "
    "run the tables, the marts and the report."
)


def run(workshop: Workshop) -> Findings:
    """Run both in turn."""
    days = ("--since", FIRST, "--until", LAST)
    responses = workshop.prepare_responses(date.fromisoformat(FIRST), date.fromisoformat(LAST), 200 * WINDOWS)
    ours, idle, api_cpu = [], [], []
    with workshop.serve(responses) as api:
        for _ in range(workshop.rounds):
            data = workshop.new_folder("windows")
            ours.append(workshop.iplum("sync", *days, data=data, api=api))
            api_cpu.append(api.read_request_times().cpu)
            environ = workshop.account(workshop.new_folder("windows"), api)
            idle.append(workshop.measure(sys.executable, "-m", "benchmarks.idle_sync", FIRST, LAST, environ=environ))
    work, idle_run, api_seconds = take_median(ours), take_median(idle), median(api_cpu)
    return Findings(
        [_compare("wall", work.wall - api_seconds, idle_run.wall), _compare("CPU", work.cpu, idle_run.cpu)],
        table=[
            COST_HEADING,
            write_cost("30 windows", work),
            write_cost("30 idle windows", idle_run),
            ["API server", f"{api_seconds:.2f}", "", ""],
        ],
        remark=_REMARK,
    )


def _compare(figure: str, work: float, idle: float) -> Line:
    ratio = work / idle
    what = f"30 windows in one run, {figure} time without the API server, relative to an idle run"
    return Line(what, f"{ratio:.2f} {TIMES}", f"\u2264 {LIMIT:g} {TIMES}", ratio <= LIMIT)
