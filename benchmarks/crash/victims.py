"""Processes that are killed. Each is forked from a process that has imported all modules."""

import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.crash.cases import Account

_OPERATIONS = {"open", "os.chmod", "os.listdir", "os.mkdir", "os.remove", "os.rename", "os.rmdir"}


@dataclass(frozen=True)
class Moment:
    """The moment of the kill: before the n-th file operation, or after a number of seconds."""

    operation: int | None = None
    seconds: float | None = None


class Run:
    """A function that runs in a forked process with the account's variables, to its end or until it is killed."""

    def __init__(self, work: Callable[[Account], Any], account: Account, moment: Moment | None = None) -> None:
        self._files = account.path.parent
        self._moment = moment or Moment()
        self._process = os.fork()
        if not self._process:
            self._work(work, account)

    def _work(self, work: Callable[[Account], Any], account: Account) -> NoReturn:
        try:
            os.environ.update(account.environ)
            log = os.open(self._files / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            operations = _count_operations(account.path, self._moment.operation)
            result = work(account)
            (self._files / "result").write_text(json.dumps([result, next(operations) - 1]))
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            raise
        finally:
            # Skip the exit handlers of the parent process.
            os._exit(1)

    def kill(self) -> bool:
        """Wait for the kill, and return whether the process was still running."""
        if self._moment.seconds is not None:
            time.sleep(self._moment.seconds)
            os.kill(self._process, signal.SIGKILL)
        status = os.waitpid(self._process, 0)[1]
        if status and not os.WIFSIGNALED(status):
            raise RuntimeError((self._files / "log").read_text()[-2000:])
        return os.WIFSIGNALED(status)

    def finish(self) -> tuple[Any, int]:
        """Wait for the end of the process, and return its result and its number of file operations.

        Raises:
            RuntimeError: The process failed. The message is the end of its log.

        """
        if os.waitpid(self._process, 0)[1]:
            raise RuntimeError((self._files / "log").read_text()[-2000:])
        result, operations = json.loads((self._files / "result").read_text())
        return result, operations


def _count_operations(folder: Path, last: int | None) -> Iterator[int]:
    """Count file operations in a folder, and send SIGKILL to this process before operation number `last`."""
    operations = itertools.count(1)
    prefix = str(folder)

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event in _OPERATIONS and str(arguments[0]).startswith(prefix) and next(operations) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    return operations
