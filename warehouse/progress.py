"""Progress of long work: a callback with the steps done and the total."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

ProgressCallback: TypeAlias = Callable[[int, int], None]


def ignore_progress(_done: int, _total: int) -> None:
    """Do nothing."""
