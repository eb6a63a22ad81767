"""Processes that work and are killed. Each is forked from a process that has loaded all modules."""

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
    """The moment of death: before the n-th file operation, or after a number of seconds."""

    operation: int | None = None
    seconds: float | None = None


class Run:
    """Work in a forked process with the account's variables; it ends normally or is killed."""

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
            # What the parent would do at its own end is not the child's to do.
            os._exit(1)

    def die(self) -> bool:
        """Wait for its moment, and say whether it died of it."""
        if self._moment.seconds is not None:
            time.sleep(self._moment.seconds)
            os.kill(self._process, signal.SIGKILL)
        status = os.waitpid(self._process, 0)[1]
        if status and not os.WIFSIGNALED(status):
            raise RuntimeError((self._files / "log").read_text()[-2000:])
        return os.WIFSIGNALED(status)

    def finish(self) -> tuple[Any, int]:
        """Wait for its end, and give its result and its file operations; raises `RuntimeError` with its log."""
        if os.waitpid(self._process, 0)[1]:
            raise RuntimeError((self._files / "log").read_text()[-2000:])
        result, operations = json.loads((self._files / "result").read_text())
        return result, operations


def _count_operations(folder: Path, last: int | None) -> Iterator[int]:
    """Count what is done to the files of a folder, and die by -9 before the last."""
    operations = itertools.count(1)
    prefix = str(folder)

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event in _OPERATIONS and str(arguments[0]).startswith(prefix) and next(operations) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    return operations
