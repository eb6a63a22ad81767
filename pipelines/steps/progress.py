"""How a run tells a person, while it goes, what is done: a protocol, and the silent default."""

from __future__ import annotations

from typing import Protocol

from pipelines.steps.pull_windows import WindowOutcome


class Progress(Protocol):
    """See windows being finished, as they are."""

    def start(self, dataset: str, windows: int) -> None:
        """A step begins that has so many windows to go through."""

    def finish_window(self, dataset: str, outcome: WindowOutcome) -> None:
        """A window of the step is done, or has failed."""

    def start_records(self, dataset: str, records: int) -> None:
        """A step begins that has so many records to fetch something for."""

    def finish_record(self, dataset: str, size: int) -> None:
        """One of them was tried, and brought so many bytes."""


class NoProgress:
    """Progress that nobody watches."""

    def start(self, dataset: str, windows: int) -> None:
        """Say nothing."""

    def finish_window(self, dataset: str, outcome: WindowOutcome) -> None:
        """Say nothing."""

    def start_records(self, dataset: str, records: int) -> None:
        """Say nothing."""

    def finish_record(self, dataset: str, size: int) -> None:
        """Say nothing."""
