"""The progress of a run."""

from typing import Literal

from pipelines.steps.pull_windows import WindowOutcome


class Progress:
    """Receives the progress of a run. This class shows nothing."""

    def start(self, dataset: str, total: int, unit: Literal["windows", "records"] = "windows") -> None:
        """Start a step that has this many windows, or records to download."""

    def finish_window(self, dataset: str, outcome: WindowOutcome) -> None:
        """Count a window that is finished or has failed."""

    def finish_record(self, dataset: str, size: int) -> None:
        """Count an attempted record; `size` is the number of downloaded bytes."""
