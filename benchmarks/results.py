"""Results of the benchmarks as data, and the page RESULTS.md.

results.json     the latest findings of each benchmark, with the machine and the versions
RESULTS.md.j2    the template of the page
RESULTS.md       the rendered page
growth.svg       the plot of the benchmark `growth`
profiles/        a profile of each hot path, as text
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2
from tabulate import tabulate

from benchmarks.findings import Findings, Point
from benchmarks.machine import Circumstances

_HOLDS = {True: "yes", False: "**no**", None: ""}
#: Percentage of CPU time used by other programs above which the page shows a warning.
_DISTURBING = 10
_TEMPLATE = Path(__file__).with_name("RESULTS.md.j2")


@dataclass(frozen=True)
class _Section:
    findings: Findings
    circumstances: Circumstances


@dataclass(frozen=True)
class Page:
    """The results in a folder. `titles` has the title of each section, in the order of the page."""

    folder: Path
    titles: Mapping[str, str]

    def save(self, name: str, findings: Findings, circumstances: Circumstances) -> None:
        """Replace the findings of one benchmark, and render the page."""
        profiles = self.folder / "profiles"
        profiles.mkdir(parents=True, exist_ok=True)
        saved = {**self._read_plain(), name: {**findings.to_plain(), "circumstances": asdict(circumstances)}}
        self._file.write_text(json.dumps(saved, indent=1, ensure_ascii=False) + "\n")
        for path, text in findings.profiles.items():
            (profiles / f"{path}.txt").write_text(text)
        if findings.points:
            draw_growth(findings.points, self.folder / f"{name}.svg")
        (self.folder / "RESULTS.md").write_text(self.render())

    def render(self) -> str:
        """Return the page as Markdown."""
        sections = self._read()
        by_circumstances: dict[Circumstances, list[str]] = {}
        for name, section in sections.items():
            by_circumstances.setdefault(section.circumstances, []).append(name)
        busy = {name: section.circumstances.busy for name, section in sections.items()}
        template = jinja2.Template(_TEMPLATE.read_text(), trim_blocks=True, lstrip_blocks=True, autoescape=False)
        page: str = template.render(
            titles=self.titles,
            findings={name: section.findings for name, section in sections.items()},
            summary=[
                (f"[{name}](#{name})", line.what, line.measured, line.target, _HOLDS[line.holds])
                for name, section in sections.items()
                for line in section.findings.lines
            ],
            circumstances=by_circumstances.items(),
            disturbed=[f"{name} ({share} %)" for name, share in busy.items() if share > _DISTURBING],
            table=lambda rows: tabulate(rows, headers="firstrow", tablefmt="github", disable_numparse=True),
        )
        return page

    @property
    def _file(self) -> Path:
        return self.folder / "results.json"

    def _read_plain(self) -> dict[str, Any]:
        kept: dict[str, Any] = json.loads(self._file.read_text()) if self._file.exists() else {}
        return kept

    def _read(self) -> dict[str, _Section]:
        kept = self._read_plain()
        return {
            name: _Section(Findings.from_plain(kept[name]), Circumstances(**kept[name]["circumstances"]))
            for name in self.titles
            if name in kept
        }


def draw_growth(points: Sequence[Point], path: Path) -> None:
    """Plot seconds over rows on logarithmic axes, with a line for linear growth."""
    import altair as alt

    fewest = min(points, key=lambda point: (point.rows, -point.seconds))
    linear = [
        Point("linear", rows, fewest.seconds * rows / fewest.rows) for rows in sorted({point.rows for point in points})
    ]
    values = [asdict(point) for point in (*points, *linear)]
    chart = (
        alt.Chart(alt.InlineData(values=values), width=480, height=280)
        .mark_line(point=True)
        .encode(
            x=alt.X("rows:Q", scale=alt.Scale(type="log"), title="rows", axis=alt.Axis(format="~s")),
            y=alt.Y("seconds:Q", scale=alt.Scale(type="log"), title="seconds"),
            color=alt.Color("series:N", title=None),
        )
    )
    chart.save(path, format="svg")
