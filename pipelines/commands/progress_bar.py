"""Progress as a person sees it: a bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from pipelines.steps.pull_windows import WindowOutcome

#: Under this many columns, a bar would leave no room for what it says.
_NARROW = 90
_PUBLISHING = "publishing"


class ProgressBar:
    """Show windows, records or steps being finished; a context manager that leaves the terminal as it was."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # Asked once: while a step runs, Dagster has standard error go to a file.
        self._is_plain = not console.is_terminal
        self._bar = Progress(*_choose_columns(console.width), console=console, disable=self._is_plain)
        self._tasks: dict[str, TaskID] = {}
        self._brought: dict[str, int] = {}
        self._notes = _Notes(console)
        # Records are finished in threads.
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        logging.getLogger("iplum_resource").addHandler(self._notes)
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()
        logging.getLogger("iplum_resource").removeHandler(self._notes)

    def start(self, dataset: str, windows: int) -> None:
        """Begin a bar of windows, or lengthen the one that a stretch before began."""
        self._start(dataset, windows, unit="windows", nothing="0 new rows")

    def finish_window(self, dataset: str, outcome: WindowOutcome) -> None:
        """Take one step."""
        if outcome.fold is not None:
            self._brought[dataset] += outcome.fold.new
        steps = 0 if outcome.again else 1
        self._bar.update(self._tasks[dataset], advance=steps, brought=f"{self._brought[dataset]:,} new rows")
        self._show_publishing()

    def start_records(self, dataset: str, records: int) -> None:
        """Begin a bar of records, or lengthen the one that a stretch before began."""
        self._start(dataset, records, unit="records", nothing=decimal(0))

    def finish_record(self, dataset: str, size: int) -> None:
        """Take one step."""
        with self._lock:
            self._brought[dataset] += size
            self._bar.update(self._tasks[dataset], advance=1, brought=decimal(self._brought[dataset]))
            self._show_publishing()

    def watch(self, name: str, unit: str) -> Callable[[int, int], None]:
        """Give what shows some other work: to be called with the steps done, and all there are."""

        def show(done: int, total: int) -> None:
            if name not in self._tasks:
                self._start(name, total, unit=unit, nothing="")
            self._bar.update(self._tasks[name], completed=done, total=total)

        return show

    def _start(self, dataset: str, total: int, *, unit: str, nothing: str) -> None:
        if _PUBLISHING in self._tasks:
            self._bar.remove_task(self._tasks.pop(_PUBLISHING))
        if dataset in self._tasks:
            task = next(task for task in self._bar.tasks if task.id == self._tasks[dataset])
            self._bar.update(task.id, total=(task.total or 0) + total)
            return
        self._brought[dataset] = 0
        self._tasks[dataset] = self._bar.add_task(dataset, total=total, unit=unit, brought=nothing)
        if self._is_plain:
            self._console.print(f"{dataset}: {total:,} {unit}")

    def _show_publishing(self) -> None:
        """Say what a run does when all of its windows are done, or it would seem to hang."""
        if self._bar.finished and _PUBLISHING not in self._tasks:
            self._tasks[_PUBLISHING] = self._bar.add_task(_PUBLISHING, total=None, unit="", brought="")


class _Rate(ProgressColumn):
    """How much is done in a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f} {task.fields['unit']}/s", style="progress.data.speed")


def _choose_columns(width: int) -> list[ProgressColumn]:
    name = TextColumn("{task.description:<15}", markup=False)
    left = TimeRemainingColumn(elapsed_when_finished=True)
    if width < _NARROW:
        return [name, MofNCompleteColumn(), left]
    return [name, BarColumn(), MofNCompleteColumn(), _Rate(), TextColumn("{task.fields[brought]}"), left]


class _Notes(logging.Handler):
    """Shows what the client has to say, a retry or a refused usage type, above the bars."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(f"note: {record.getMessage()}", markup=False, highlight=False, soft_wrap=True)
