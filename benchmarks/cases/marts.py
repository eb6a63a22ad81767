"""Build and query times of the marts over one million and ten million rows, and the peak memory of publishing.

A query filters by the columns that a mart has of these: user or counterparty, and the last 30 days.
"""

import json
import sys
from statistics import median

from benchmarks.cases.publishing import FIRST, LAST, count_rows, read_publishing
from benchmarks.findings import Findings, Line, at_most
from benchmarks.workshop import Workshop


def run(workshop: Workshop) -> Findings:
    """Build the marts of both histories several times, then query each mart of the large one."""
    small = workshop.prepare_lake(FIRST, LAST, count_rows(workshop) // 10)
    large = workshop.prepare_lake(FIRST, LAST, count_rows(workshop))
    small_wall, large_wall = (
        median(
            read_publishing(workshop.profile("wall", "publish", "--full", data=data)).marts
            for _ in range(workshop.rounds)
        )
        for data in (small, large)
    )
    small_cpu, large_cpu = (
        read_publishing(workshop.profile("cpu", "publish", "--full", data=data)).marts for data in (small, large)
    )
    peak = workshop.iplum("publish", "--full", data=large).peak
    out = workshop.folder / "questions.json"
    workshop.measure(sys.executable, "-m", "benchmarks.questions", large, out)
    query_times: dict[str, float] = json.loads(out.read_text())
    slowest = max(query_times, key=lambda name: query_times[name])
    return Findings(
        [
            at_most("build of the marts over one million rows", small_wall, 8, unit="s", places=1),
            Line("the same, CPU time of all cores", f"{small_cpu:.1f} s", "", None),
            at_most("build of the marts over ten million rows", large_wall, 60, unit="s", places=1),
            Line("the same, CPU time of all cores", f"{large_cpu:.1f} s", "", None),
            at_most("peak memory of publishing ten million rows", peak / 1e9, 3, unit="GB", places=1),
            at_most(f"slowest query of a mart ({slowest})", query_times[slowest], 100, unit="ms", places=0),
        ],
        table=[("mart", "ms"), *((name, f"{milliseconds:.0f}") for name, milliseconds in query_times.items())],
    )
