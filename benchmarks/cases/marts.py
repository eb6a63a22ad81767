"""Build and query times of the marts over ten million rows.

A query filters by the columns that a mart has of these: user or counterparty, and the last 30 days.
"""

import json
import sys
from statistics import median

from benchmarks.cases.publishing import FIRST, LAST, count_rows, read_publishing
from benchmarks.findings import Findings, Line, at_most
from benchmarks.workshop import Workshop


def run(workshop: Workshop) -> Findings:
    """Build the marts several times, then query each."""
    data = workshop.prepare_lake(FIRST, LAST, count_rows(workshop))
    walls = [
        read_publishing(workshop.profile("wall", "publish", "--full", data=data)).marts for _ in range(workshop.rounds)
    ]
    cpu = read_publishing(workshop.profile("cpu", "publish", "--full", data=data)).marts
    out = workshop.folder / "questions.json"
    workshop.measure(sys.executable, "-m", "benchmarks.questions", data, out)
    query_times: dict[str, float] = json.loads(out.read_text())
    slowest = max(query_times, key=lambda name: query_times[name])
    return Findings(
        [
            at_most("build of the marts over ten million rows", median(walls), 20, unit="s", places=1),
            Line("the same, CPU time of all cores", f"{cpu:.1f} s", "", None),
            at_most(f"slowest query of a mart ({slowest})", query_times[slowest], 100, unit="ms", places=0),
        ],
        table=[("mart", "ms"), *((name, f"{milliseconds:.0f}") for name, milliseconds in query_times.items())],
    )
