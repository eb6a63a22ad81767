"""The page of results: what each benchmark found last, with its plot and its profiles beside it.

results.json   the latest findings of each benchmark, and what they were measured on
RESULTS.md     the page made of it
growth.svg     its plot
profiles/      a text for each hot path; in `before`, as it was when measuring began
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.findings import Findings, Point
from benchmarks.machine import Circumstances

_HOLDS = {True: "yes", False: "**no**", None: ""}
#: Per cent of the machine that others may take before it is worth a word.
_DISTURBING = 10
_INTRODUCTION = """\
# Benchmarks

Written by `make bench`; `make bench ONLY=name` measures one section again. Each ratio comes from one run, in which
what is compared took turns; figures are medians of several rounds. CPU is user and system time of a program with
all that it started, peak the largest memory of one process. The API is a process of its own whose answers were
prepared beforehand, and counts for nobody.
"""


@dataclass(frozen=True)
class _Section:
    findings: Findings
    circumstances: Circumstances


@dataclass(frozen=True)
class Page:
    """The results as they stand in a folder; `titles` gives each one's question, in the page's order."""

    folder: Path
    titles: Mapping[str, str]

    def keep(self, name: str, findings: Findings, circumstances: Circumstances) -> None:
        """Put the findings of one benchmark in the place of its last ones, and write the page anew."""
        profiles = self.folder / "profiles"
        profiles.mkdir(parents=True, exist_ok=True)
        kept = {**self._read_plain(), name: {**findings.to_plain(), "circumstances": asdict(circumstances)}}
        self._file.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
        for path, text in findings.profiles.items():
            (profiles / f"{path}.txt").write_text(text)
        if findings.points:
            draw_growth(findings.points, self.folder / f"{name}.svg")
        (self.folder / "RESULTS.md").write_text(self.render())

    def render(self) -> str:
        """Write the page."""
        sections = self._read()
        parts = [
            _INTRODUCTION,
            _summarize(sections),
            "",
            *_tell_circumstances(sections),
            "",
            *(self._render_one(name, section.findings) for name, section in sections.items()),
        ]
        return "\n".join(parts)

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

    def _render_one(self, name: str, findings: Findings) -> str:
        plot = f"![seconds over rows, both logarithmic]({name}.svg)" if findings.points else ""
        hot = [
            f"[{path}](profiles/{path}.txt)"
            for profile in findings.profiles
            for path in (profile, f"before/{profile}")
            if (self.folder / "profiles" / f"{path}.txt").exists()
        ]
        profiles = f"Where the time goes: {', '.join(hot)}." if hot else ""
        parts = (f"## {name}", self.titles[name], _write_table(findings.table), plot, findings.remark, profiles)
        return "\n\n".join(part for part in parts if part) + "\n"


def _summarize(sections: Mapping[str, _Section]) -> str:
    heading = ("", "what", "measured", "target", "holds")
    lines = [
        (f"[{name}](#{name})", line.what, line.measured, line.target, _HOLDS[line.holds])
        for name, section in sections.items()
        for line in section.findings.lines
    ]
    return _write_table([heading, *lines])


def _tell_circumstances(sections: Mapping[str, _Section]) -> list[str]:
    busy = {name: section.circumstances.busy for name, section in sections.items()}
    disturbed = [f"{name} ({share} %)" for name, share in busy.items() if share > _DISTURBING]
    warning = "**Others were using the machine's processors when these began, so wall times are too long:** "
    measured: dict[Circumstances, list[str]] = {}
    for name, section in sections.items():
        measured.setdefault(section.circumstances, []).append(name)
    told = [f"- {', '.join(names)}: {circumstances}" for circumstances, names in measured.items()]
    return [*told, *([f"\n{warning}{', '.join(disturbed)}."] if disturbed else [])]


def _write_table(rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    heading, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in (heading, ["---"] * len(heading), *body))


def draw_growth(points: Sequence[Point], path: Path) -> None:
    """Draw seconds over rows, both logarithmic, with a line of what grows as the rows do."""
    import altair as alt

    fewest = min(points, key=lambda point: (point.rows, -point.seconds))
    straight = [
        Point("as the rows", rows, fewest.seconds * rows / fewest.rows)
        for rows in sorted({point.rows for point in points})
    ]
    values = [asdict(point) for point in (*points, *straight)]
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
