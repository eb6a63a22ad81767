"""What is said of one thing that was looked at, and what follows for the whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How it stands with one thing."""

    OK = "ok"
    #: Works, but somebody should know.
    WARNING = "warning"
    #: The API, the network or the disk refuses.
    FAILED = "failed"
    #: A setting is wrong, which is found before any request.
    WRONG = "wrong"
    #: Not looked at, since something before it failed.
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Verdict:
    """One line: what was looked at, how it stands, what was found, and what to do next (empty when nothing)."""

    name: str
    state: State
    found: str
    remedy: str = ""


def choose_exit_code(verdicts: Iterable[Verdict]) -> int:
    """Choose as every command does: 2 for a wrong setting, 1 for what somebody else refuses, 0 for neither."""
    states = {verdict.state for verdict in verdicts}
    if State.WRONG in states:
        return 2
    return 1 if State.FAILED in states else 0
