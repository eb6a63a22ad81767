"""Progress as a person sees it: a bar with rate and time left on a terminal, plain lines elsewhere.

Belongs here: showing. Does not belong here: what is done.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pipelines.pulling import WindowOutcome


class WindowBar:
    """Show the windows of each dataset being finished; a context manager that leaves the terminal as it was."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("windows · {task.fields[rows]:,} new rows ·"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._rows: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def start(self, dataset: str, windows: int) -> None:
        """Begin a bar, or lengthen the one that a stretch before began."""
        if dataset in self._tasks:
            task = self._bar.tasks[self._tasks[dataset]]
            self._bar.update(task.id, total=(task.total or 0) + windows)
            return
        self._rows[dataset] = 0
        self._tasks[dataset] = self._bar.add_task(dataset, total=windows, rows=0)
        if not self._console.is_terminal:
            self._console.print(f"{dataset}: {windows} windows")

    def finish_window(self, dataset: str, outcome: WindowOutcome) -> None:
        """Take one step, or say what stands in the way."""
        if outcome.error is not None:
            self._console.print(f"{dataset} {outcome.window.key} failed: {outcome.error}", markup=False)
        if outcome.fold is not None:
            self._rows[dataset] += outcome.fold.new
        steps = 0 if outcome.again else 1
        self._bar.update(self._tasks[dataset], advance=steps, rows=self._rows[dataset])
