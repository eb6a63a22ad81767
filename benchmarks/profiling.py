"""Profiles of `iplum` commands, and their statistics as text."""

import cProfile
import io
import pstats
import re
import sys
import time
from collections.abc import Mapping, Sequence
from copy import copy

_SHOWN = 25


def find_seconds(stats: pstats.Stats, module: str, function: str) -> float:
    """Return the cumulative seconds of a module's function; 0 if it was not called."""
    entries: dict[tuple[str, int, str], tuple[float, ...]] = stats.stats  # type: ignore[attr-defined]
    return sum(
        values[3]
        for (file, _, name), values in entries.items()
        if name == function and file.endswith(f"{module.replace('.', '/')}.py")
    )


def share_out(stats: pstats.Stats, parts: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, float]:
    """Return the seconds of each part; a part is a list of (module, function) pairs."""
    return {part: sum(find_seconds(stats, *function) for function in functions) for part, functions in parts.items()}


def render_profile(stats: pstats.Stats) -> str:
    """Return the slowest functions by cumulative and by own time, without file paths."""
    shown = io.StringIO()
    without_paths = copy(stats).strip_dirs()
    without_paths.stream = shown  # type: ignore[attr-defined]
    for order in ("cumulative", "tottime"):
        without_paths.sort_stats(order).print_stats(_SHOWN)
    lines = (line.rstrip() for line in shown.getvalue().splitlines())
    return "\n".join(line for line in lines if line and not re.match(r"[A-Z][a-z]{2} [A-Z][a-z]{2} ", line)) + "\n"


def main() -> int:
    """Run an `iplum` command under the profiler."""
    timer, out, *arguments = sys.argv[1:]
    from pipelines import cli

    profiler = cProfile.Profile(time.process_time if timer == "cpu" else time.perf_counter)
    code = profiler.runcall(cli.run, arguments)
    profiler.dump_stats(out)
    return code


if __name__ == "__main__":
    sys.exit(main())
