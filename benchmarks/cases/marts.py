"""The marts over ten million rows: how long they take to build, and how long each takes to answer.

A question is what a person would filter by: a user or a counterparty, the last thirty days, where a mart has them.
"""

import json
import sys
from statistics import median

from benchmarks.cases.publishing import FIRST, LAST, count_rows, read_publishing
from benchmarks.findings import Findings, Line, at_most
from benchmarks.workshop import Workshop


def run(workshop: Workshop) -> Findings:
    """Build them several times, then ask each."""
    data = workshop.prepare_lake(FIRST, LAST, count_rows(workshop))
    walls = [
        read_publishing(workshop.profile("wall", "publish", "--full", data=data)).marts for _ in range(workshop.rounds)
    ]
    cpu = read_publishing(workshop.profile("cpu", "publish", "--full", data=data)).marts
    out = workshop.folder / "questions.json"
    workshop.measure(sys.executable, "-m", "benchmarks.questions", data, out)
    answers: dict[str, float] = json.loads(out.read_text())
    slowest = max(answers, key=lambda name: answers[name])
    return Findings(
        [
            at_most("marts over ten million rows built", median(walls), 20, unit="s", places=1),
            Line("the same, CPU of all cores", f"{cpu:.1f} s", "", None),
            at_most(f"slowest answer of a mart ({slowest})", answers[slowest], 100, unit="ms", places=0),
        ],
        table=[("answers", "ms"), *((name, f"{milliseconds:.0f}") for name, milliseconds in answers.items())],
    )
