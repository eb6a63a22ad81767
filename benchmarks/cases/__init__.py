"""The benchmarks, one module each. `BENCHMARKS` lists them in the order of the page.

The function `run` of each module takes a workshop and returns findings. The first line of its docstring is its title.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType

from benchmarks.cases import growth, latency, marts, memory, publishing, receiver, startup, windows, year
from benchmarks.findings import Findings
from benchmarks.workshop import Workshop


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: its title on the page, and the function that runs it."""

    title: str
    run: Callable[[Workshop], Findings]


def _describe(module: ModuleType) -> Benchmark:
    return Benchmark(title=(module.__doc__ or "").splitlines()[0], run=module.run)


BENCHMARKS: Mapping[str, Benchmark] = {
    module.__name__.rpartition(".")[2]: _describe(module)
    for module in (startup, year, latency, windows, publishing, marts, memory, growth, receiver)
}
