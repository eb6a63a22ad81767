"""Publishing one changed window of ten million rows, compared with a full build."""

import pstats
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median

from benchmarks.findings import Findings, Line, at_most
from benchmarks.profiling import find_seconds, render_profile
from benchmarks.workshop import Workshop

FIRST, LAST = date(2020, 1, 1), date(2025, 1, 1)
CHANGED = "2022-06-16"
PUBLISH = ("warehouse.snapshot.publish", "publish")
BUILD_MARTS = ("warehouse.snapshot.marts", "build_marts")


def count_rows(workshop: Workshop) -> int:
    """Return the number of rows of the history for publishing and marts."""
    return workshop.choose(10_000_000, 3_000)


@dataclass(frozen=True)
class Publishing:
    """Seconds of one publish: in total, for the marts, and for the tables."""

    total: float
    marts: float

    @property
    def tables(self) -> float:
        """Seconds without the marts."""
        return self.total - self.marts


def read_publishing(stats: pstats.Stats) -> Publishing:
    """Read the times of a publish from its profile. Profiling adds little, because DuckDB does the work."""
    return Publishing(find_seconds(stats, *PUBLISH), find_seconds(stats, *BUILD_MARTS))


def change_window(workshop: Workshop, data: Path, seed: int) -> None:
    """Replace a window's lake file by one with other rows."""
    rows = count_rows(workshop) // 390
    workshop.measure(sys.executable, "-m", "benchmarks.lake", data, CHANGED, str(rows), str(seed))


def run(workshop: Workshop) -> Findings:
    """Publish everything and one changed window, in turn."""
    data = workshop.prepare_lake(FIRST, LAST, count_rows(workshop))
    full, changed = [], []
    for number in range(workshop.rounds):
        full_stats = workshop.profile("wall", "publish", "--full", data=data)
        full.append(read_publishing(full_stats))
        change_window(workshop, data, seed=number + 1)
        changed_stats = workshop.profile("wall", "publish", data=data)
        changed.append(read_publishing(changed_stats))
    all_tables, one_window = (median(one.tables for one in publishings) for publishings in (full, changed))
    return Findings(
        [
            at_most(
                "one changed window of ten million rows, wall time relative to a full build",
                one_window / all_tables,
                0.2,
            ),
            Line(
                "the same including the marts", f"{_median_total(changed) / _median_total(full):.2f} \u00d7", "", None
            ),
        ],
        table=[
            ("", "tables s", "marts s"),
            ("full build", f"{all_tables:.2f}", f"{median(one.marts for one in full):.2f}"),
            ("one changed window", f"{one_window:.2f}", f"{median(one.marts for one in changed):.2f}"),
        ],
        profiles={"publish-full": render_profile(full_stats), "publish-changed": render_profile(changed_stats)},
    )


def _median_total(publishings: list[Publishing]) -> float:
    return median(one.total for one in publishings)
