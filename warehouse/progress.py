"""Progress of long work: a callback with the steps done and the total."""

from collections.abc import Callable
from typing import TypeAlias

ProgressCallback: TypeAlias = Callable[[int, int], None]


def ignore_progress(_done: int, _total: int) -> None:
    """Do nothing."""
