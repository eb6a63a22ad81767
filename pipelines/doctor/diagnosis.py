"""One line of the doctor, and the exit code that follows from all lines."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The state of one checked thing."""

    OK = "ok"
    #: Works, but needs attention.
    WARNING = "warning"
    #: The API, the network or the disk failed.
    FAILED = "failed"
    #: A setting is wrong, found before any request.
    WRONG = "wrong"
    #: Not checked, because an earlier check failed.
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Diagnosis:
    """One line: the name of the check, its state, the finding, and the fix (empty if none is needed)."""

    name: str
    state: State
    found: str
    fix: str = ""


def choose_exit_code(diagnoses: Iterable[Diagnosis]) -> int:
    """Return the exit code: 2 for a wrong setting, 1 for any other failure, 0 if nothing failed."""
    states = {diagnosis.state for diagnosis in diagnoses}
    if State.WRONG in states:
        return 2
    return 1 if State.FAILED in states else 0
