"""Progress on the command line: bars with rate and time left on a terminal, dated lines elsewhere."""

import logging
import threading
from collections.abc import Callable
from typing import Literal, Self

from rich import progress
from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from pipelines.clock import Clock, now
from pipelines.commands.invocation import format_count, open_console
from pipelines.steps.progress import Progress
from pipelines.steps.pull_windows import WindowOutcome

#: Below this width, a bar would leave no room for its text.
_NARROW = 90
_LOGGERS = ("iplum_resource", "warehouse")
_PUBLISHING = "publishing"


class ProgressBar(Progress):
    """Progress bars for windows, records and other steps; a context manager that restores the terminal.

    Elsewhere than on a terminal, each line starts with its date and time (UTC), for the log of an unattended run.
    """

    def __init__(self, console: Console | None = None, *, clock: Clock = now) -> None:
        console = console or open_console(stderr=True)
        self._console = console
        self._clock = clock
        self._is_plain = not console.is_terminal
        self._bar = progress.Progress(*_choose_columns(console.width), console=console, disable=self._is_plain)
        self._has_lines = False
        self._tasks: dict[str, progress.TaskID] = {}
        self._results: dict[str, int] = {}
        self._notes = _WarningHandler(self.show_line)
        # Records finish in threads.
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        for name in _LOGGERS:
            logging.getLogger(name).addHandler(self._notes)
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._bar.stop()
        for name in _LOGGERS:
            logging.getLogger(name).removeHandler(self._notes)
        if self._is_plain and self._has_lines:
            self.show_line("finished" if kind is None else "stopped")

    def show_line(self, text: str) -> None:
        """Print a line above the bars."""
        self._has_lines = True
        line = f"{self._clock():%Y-%m-%d %H:%M:%SZ} {text}" if self._is_plain else text
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def start(self, dataset: str, total: int, unit: Literal["windows", "records"] = "windows") -> None:
        """Start a bar, or extend the one of an earlier range."""
        self._start(dataset, total, unit=unit, nothing="0 new rows" if unit == "windows" else decimal(0))

    def finish_window(self, dataset: str, outcome: WindowOutcome) -> None:
        """Advance by one window."""
        if outcome.fold is not None:
            self._results[dataset] += outcome.fold.new
        steps = 0 if outcome.again else 1
        self._bar.update(self._tasks[dataset], advance=steps, brought=f"{self._results[dataset]:,} new rows")
        self._show_publishing()

    def finish_record(self, dataset: str, size: int) -> None:
        """Advance by one record."""
        with self._lock:
            self._results[dataset] += size
            self._bar.update(self._tasks[dataset], advance=1, brought=decimal(self._results[dataset]))
            self._show_publishing()

    def track(self, name: str, unit: str) -> Callable[[int, int], None]:
        """Return a callback that shows other work as a bar: it takes the steps done and the total."""

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
        self._results[dataset] = 0
        self._tasks[dataset] = self._bar.add_task(dataset, total=total, unit=unit, brought=nothing)
        if self._is_plain:
            self.show_line(f"{dataset}: {format_count(total, unit.removesuffix('s'))}")

    def _show_publishing(self) -> None:
        """Show that the run publishes after its last window, which would otherwise look like a hang."""
        if self._bar.finished and _PUBLISHING not in self._tasks:
            self._tasks[_PUBLISHING] = self._bar.add_task(_PUBLISHING, total=None, unit="", brought="")


class _Rate(progress.ProgressColumn):
    """The steps per second."""

    def render(self, task: progress.Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f} {task.fields['unit']}/s", style="progress.data.speed")


def _choose_columns(width: int) -> list[progress.ProgressColumn]:
    name = progress.TextColumn("{task.description:<15}", markup=False)
    count = progress.MofNCompleteColumn()
    left = progress.TimeRemainingColumn(elapsed_when_finished=True)
    if width < _NARROW:
        return [name, count, left]
    return [name, progress.BarColumn(), count, _Rate(), progress.TextColumn("{task.fields[brought]}"), left]


class _WarningHandler(logging.Handler):
    """Prints warnings, such as retries and rejected usage types, above the bars."""

    def __init__(self, show_line: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._show_line = show_line

    def emit(self, record: logging.LogRecord) -> None:
        self._show_line(f"note: {record.getMessage()}")
