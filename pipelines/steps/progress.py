"""The progress of a run: a protocol, and an implementation that does nothing."""

from typing import Protocol

from pipelines.steps.pull_windows import WindowOutcome


class Progress(Protocol):
    """Receives the progress of a run."""

    def start(self, dataset: str, windows: int) -> None:
        """A step starts that has this many windows."""

    def finish_window(self, dataset: str, outcome: WindowOutcome) -> None:
        """A window is finished, or has failed."""

    def start_records(self, dataset: str, records: int) -> None:
        """A step starts that has this many records to download."""

    def finish_record(self, dataset: str, size: int) -> None:
        """A record was attempted; `size` is the number of downloaded bytes."""


class NoProgress:
    """Progress that is not shown."""

    def start(self, dataset: str, windows: int) -> None:
        """Do nothing."""

    def finish_window(self, dataset: str, outcome: WindowOutcome) -> None:
        """Do nothing."""

    def start_records(self, dataset: str, records: int) -> None:
        """Do nothing."""

    def finish_record(self, dataset: str, size: int) -> None:
        """Do nothing."""
