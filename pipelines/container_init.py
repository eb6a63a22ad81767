"""The duties of a container's first process: it passes signals on to all others, and waits for them."""

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType

_STOPPED = 128


def is_first_process() -> bool:
    """Whether this is the first process of a container, the only one that gets its SIGTERM."""
    return os.getpid() == 1


def run_as_first_process(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command and return its exit code after all processes have ended.

    SIGTERM and SIGINT are passed on to all processes, such as runs, which then end cleanly. When the command ends, so
    do the others.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _pass_on)
    child = os.posix_spawn(command[0], list(command), environ)
    code = 1
    while True:
        try:
            ended, status = os.wait()
        except ChildProcessError:  # all have ended
            return code
        if ended == child:
            exit_code = os.waitstatus_to_exitcode(status)
            code = exit_code if exit_code >= 0 else _STOPPED - exit_code
            _pass_on(signal.SIGTERM, None)


def _pass_on(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """Send SIGTERM to all other processes of the container."""
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGTERM)
