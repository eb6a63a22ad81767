"""Progress as a person sees it: a bar with rate and time left on a terminal, plain lines elsewhere.

Belongs here: showing. Does not belong here: what is done.
"""

from __future__ import annotations

import logging
import threading
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pipelines.pulling import WindowOutcome


class ProgressBar:
    """Show windows or records being finished; a context manager that leaves the terminal as it was."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description:<16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]} · {task.fields[brought]} ·"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
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

    def start_records(self, dataset: str, records: int) -> None:
        """Begin a bar of records, or lengthen the one that a stretch before began."""
        self._start(dataset, records, unit="records", nothing=decimal(0))

    def finish_record(self, dataset: str, size: int) -> None:
        """Take one step."""
        with self._lock:
            self._brought[dataset] += size
            self._bar.update(self._tasks[dataset], advance=1, brought=decimal(self._brought[dataset]))

    def _start(self, dataset: str, total: int, *, unit: str, nothing: str) -> None:
        if dataset in self._tasks:
            task = self._bar.tasks[self._tasks[dataset]]
            self._bar.update(task.id, total=(task.total or 0) + total)
            return
        self._brought[dataset] = 0
        self._tasks[dataset] = self._bar.add_task(dataset, total=total, unit=unit, brought=nothing)
        if not self._console.is_terminal:
            self._console.print(f"{dataset}: {total:,} {unit}")


class _Notes(logging.Handler):
    """Shows what the client has to say, a retry or a refused usage type, above the bars."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(f"note: {record.getMessage()}", markup=False, highlight=False, soft_wrap=True)
