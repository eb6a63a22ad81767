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
from benchmarks.machine import describe_circumstances, measure_cpu_use
from benchmarks.results import Page
from benchmarks.workshop import Workshop
from pipelines.settings import PROJECT


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Benchmarks to run (default: all).")] = None,
    *,
    rounds: Annotated[int, typer.Option(min=1, help="Number of runs of each compared program, in turn.")] = 3,
    quick: Annotated[bool, typer.Option(help="Use tiny sizes, to test that the benchmarks run.")] = False,
    offline: Annotated[bool, typer.Option(help="Skip dlt, which would be downloaded.")] = False,
    output: Annotated[Path, typer.Option(help="Folder for RESULTS.md.")] = PROJECT / "benchmarks",
) -> None:
    """Run benchmarks, print the figures with their targets, and write RESULTS.md. Exits with 1 if one failed."""
    unknown = [name for name in names or () if name not in BENCHMARKS]
    if unknown:
        raise typer.BadParameter(f"unknown benchmark {unknown[0]}. Choose from {', '.join(BENCHMARKS)}.")
    page = Page(output, {name: benchmark.title for name, benchmark in BENCHMARKS.items()})
    failed = False
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as scratch:
        workshop = Workshop(Path(scratch), rounds=rounds, quick=quick, offline=offline)
        for name in names or BENCHMARKS:
            busy, began = measure_cpu_use(), time.monotonic()
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
            page.save(name, findings, describe_circumstances(datetime.now(UTC), rounds=rounds, busy=busy))
    sys.exit(failed)


def _show(findings: Findings, seconds: float) -> None:
    for row in findings.table:
        typer.echo("    " + f"{row[0]:<40}" + "".join(f"{cell:>16}" for cell in row[1:]))
    for line in findings.lines:
        verdict = {True: "met", False: "NOT MET", None: ""}[line.holds]
        typer.echo(f"  {line.what}: {line.measured}   {line.target}   {verdict}")
    typer.echo(f"  (measured in {seconds:.0f} s)")


if __name__ == "__main__":
    typer.run(main)
