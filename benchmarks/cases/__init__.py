"""The questions that are measured, each a module of its own; `BENCHMARKS` names them in the order of the page.

A benchmark takes a workshop and gives its findings. Each says in its module's first line what it asks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType

from benchmarks.cases import growth, latency, marts, memory, publishing, receiver, startup, windows, year
from benchmarks.findings import Findings
from benchmarks.workshop import Workshop


@dataclass(frozen=True)
class Benchmark:
    """One question: its name on the command line, what it asks, and how it is answered."""

    title: str
    run: Callable[[Workshop], Findings]


def _describe(module: ModuleType) -> Benchmark:
    return Benchmark(title=(module.__doc__ or "").splitlines()[0], run=module.run)


BENCHMARKS: Mapping[str, Benchmark] = {
    module.__name__.rpartition(".")[2]: _describe(module)
    for module in (startup, year, latency, windows, publishing, marts, memory, growth, receiver)
}
