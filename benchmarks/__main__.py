"""`make bench`: run the benchmarks and write the page."""

import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cases import BENCHMARKS
from benchmarks.costs import ProgramFailed
from benchmarks.findings import Findings
from benchmarks.machine import measure_bustle, tell_circumstances
from benchmarks.results import Page
from benchmarks.workshop import Workshop
from pipelines.settings import PROJECT


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Which to run; all without.")] = None,
    *,
    rounds: Annotated[int, typer.Option(min=1, help="How often what is compared is run, in turn.")] = 3,
    quick: Annotated[bool, typer.Option(help="Sizes that prove nothing but that it runs.")] = False,
    offline: Annotated[bool, typer.Option(help="Leave out dlt, which would be installed.")] = False,
    output: Annotated[Path, typer.Option(help="Folder of RESULTS.md.")] = PROJECT / "benchmarks",
) -> None:
    """Measure, print each figure next to its target, and write RESULTS.md; exits 1 when a benchmark didn't run."""
    unknown = [name for name in names or () if name not in BENCHMARKS]
    if unknown:
        raise typer.BadParameter(f"no benchmark is called {unknown[0]}; there are {', '.join(BENCHMARKS)}")
    page = Page(output, {name: benchmark.title for name, benchmark in BENCHMARKS.items()})
    failed = False
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as scratch:
        workshop = Workshop(Path(scratch), rounds=rounds, quick=quick, offline=offline)
        for name in names or BENCHMARKS:
            busy, began = measure_bustle(), time.monotonic()
            typer.echo(f"{name}: {BENCHMARKS[name].title}")
            try:
                findings = BENCHMARKS[name].run(workshop)
            except ProgramFailed as error:
                typer.echo(f"{name}: {error}", err=True)
                failed = True
                continue
            finally:
                workshop.clear()
            _show(findings, time.monotonic() - began)
            page.save(name, findings, tell_circumstances(datetime.now(UTC), rounds=rounds, busy=busy))
    sys.exit(failed)


def _show(findings: Findings, seconds: float) -> None:
    for row in findings.table:
        typer.echo("    " + f"{row[0]:<40}" + "".join(f"{cell:>16}" for cell in row[1:]))
    for line in findings.lines:
        verdict = {True: "holds", False: "DOES NOT HOLD", None: ""}[line.holds]
        typer.echo(f"  {line.what}: {line.measured}   {line.target}   {verdict}")
    typer.echo(f"  (measured in {seconds:.0f} s)")


if __name__ == "__main__":
    typer.run(main)
