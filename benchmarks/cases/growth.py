"""The cost of a sync of a year with 100,000, 1,000,000 and 10,000,000 rows."""

from itertools import pairwise

from benchmarks.cases.year import FIRST, LAST, sync
from benchmarks.findings import COST_HEADING, Findings, Point, at_most, write_cost
from benchmarks.workshop import Workshop


def run(workshop: Workshop) -> Findings:
    """Sync each size once, because the largest takes minutes."""
    sizes = workshop.choose((100_000, 1_000_000, 10_000_000), (800, 1_600))
    costs = {}
    for rows in sizes:
        with workshop.serve(workshop.prepare_responses(FIRST, LAST, rows)) as api:
            costs[rows] = sync(workshop, api)
    return Findings(
        [
            at_most(f"CPU time from {fewer:,} to {more:,} rows", costs[more].cpu / costs[fewer].cpu, 11)
            for fewer, more in pairwise(sizes)
        ],
        table=[COST_HEADING, *(write_cost(f"{rows:,} rows", cost) for rows, cost in costs.items())],
        points=[
            Point(name, rows, seconds)
            for rows, cost in costs.items()
            for name, seconds in (("CPU", cost.cpu), ("wall", cost.wall))
        ],
    )
