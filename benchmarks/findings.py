"""Results of a benchmark as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.costs import Cost

TIMES = "\u00d7"


@dataclass(frozen=True)
class Line:
    """A figure and its target, both formatted. `holds` is None without a target."""

    what: str
    measured: str
    target: str
    holds: bool | None


@dataclass(frozen=True)
class Point:
    """A point of a plot: a number of rows, and the seconds they took."""

    series: str
    rows: int
    seconds: float


@dataclass(frozen=True)
class Findings:
    """The results of one benchmark.

    The first row of `table` is its heading. `profiles` has a text per hot path. `remark` explains the figures,
    especially those that miss their targets.
    """

    lines: Sequence[Line]
    table: Sequence[Sequence[str]] = ()
    points: Sequence[Point] = ()
    profiles: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""

    def to_plain(self) -> dict[str, Any]:
        """Return the findings as JSON values. Of the profiles only the names: their texts are in files."""
        return {**asdict(self), "profiles": dict.fromkeys(self.profiles, "")}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Findings":
        """Restore findings from the result of `to_plain`."""
        lines = [Line(**line) for line in plain["lines"]]
        points = [Point(**point) for point in plain["points"]]
        return cls(lines, plain["table"], points, plain["profiles"], plain["remark"])


def at_most(what: str, value: float, limit: float, *, unit: str = TIMES, places: int = 2) -> Line:
    """Return a line whose target is a maximum."""
    return Line(what, f"{value:.{places}f} {unit}", f"≤ {limit:g} {unit}", value <= limit)


def at_least(what: str, value: float, limit: float, *, unit: str = TIMES, places: int = 1) -> Line:
    """Return a line whose target is a minimum."""
    return Line(what, f"{value:.{places}f} {unit}", f"≥ {limit:g} {unit}", value >= limit)


COST_HEADING = ("", "CPU s", "wall s", "peak MB")


def write_cost(name: str, cost: Cost) -> list[str]:
    """Return the table row of a cost."""
    return [name, f"{cost.cpu:.2f}", f"{cost.wall:.2f}", f"{cost.peak / 1e6:.0f}"]
