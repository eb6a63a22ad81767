"""Results of a benchmark as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.costs import Cost

TIMES = "\u00d7"


@dataclass(frozen=True)
class Line:
    """A figure and its target: `measured` and `target` in words, `holds` None where no target is set."""

    what: str
    measured: str
    target: str
    holds: bool | None


@dataclass(frozen=True)
class Point:
    """A point of a plot: rows, and the seconds that they took."""

    series: str
    rows: int
    seconds: float


@dataclass(frozen=True)
class Findings:
    """Everything that one benchmark has to say.

    `table` has its heading as first row; `profiles` has texts by the name of the hot path; `remark` says what the
    time goes to where a line doesn't hold.
    """

    lines: Sequence[Line]
    table: Sequence[Sequence[str]] = ()
    points: Sequence[Point] = ()
    profiles: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""

    def to_plain(self) -> dict[str, Any]:
        """Return the findings as JSON values; of the profiles only the names, because their texts are in files."""
        return {**asdict(self), "profiles": dict.fromkeys(self.profiles, "")}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Findings":
        """Read back what `to_plain` gave."""
        lines = [Line(**line) for line in plain["lines"]]
        points = [Point(**point) for point in plain["points"]]
        return cls(lines, plain["table"], points, plain["profiles"], plain["remark"])


def at_most(what: str, value: float, limit: float, *, unit: str = TIMES, places: int = 2) -> Line:
    """Make a line that holds when a value is at most its limit."""
    return Line(what, f"{value:.{places}f} {unit}", f"≤ {limit:g} {unit}", value <= limit)


def at_least(what: str, value: float, limit: float, *, unit: str = TIMES, places: int = 1) -> Line:
    """Make a line that holds when a value is at least its limit."""
    return Line(what, f"{value:.{places}f} {unit}", f"≥ {limit:g} {unit}", value >= limit)


COST_HEADING = ("", "CPU s", "wall s", "peak MB")


def write_cost(name: str, cost: Cost) -> list[str]:
    """Make a table's row of a cost."""
    return [name, f"{cost.cpu:.2f}", f"{cost.wall:.2f}", f"{cost.peak / 1e6:.0f}"]
