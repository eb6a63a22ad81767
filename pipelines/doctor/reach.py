"""How far back a vendor's history reaches, found with few questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

_T = TypeVar("_T")


def find_earliest(steps: Sequence[_T], holds: Callable[[_T], bool], *, questions: int) -> _T | None:
    """Find the first of `steps`, oldest first, that holds anything, by halving, with at most so many questions.

    Right to the step where all before it are empty and all after it are not. Where some later ones are empty
    too, what it finds holds something, but an earlier one may as well. None where nothing was found.
    """
    if not steps or questions < 1:
        return None
    if holds(steps[0]):
        return steps[0]
    empty, found = 0, len(steps)
    for _ in range(questions - 1):
        if found - empty <= 1:
            break
        middle = (empty + found) // 2
        if holds(steps[middle]):
            found = middle
        else:
            empty = middle
    return steps[found] if found < len(steps) else None
