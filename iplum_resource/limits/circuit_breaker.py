"""The rule that one refused request ends the run."""

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from iplum_resource.errors import AccountError


class CircuitBreaker:
    """Keep a wrong key from being tried by all threads at once, which may lock the account."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_open = False
        self._is_taken = False
        self._refusal: AccountError | None = None

    @property
    def is_open(self) -> bool:
        """Whether iPlum has answered this client before."""
        return self._is_open

    @property
    def is_refused(self) -> bool:
        """Whether every further call is going to be refused."""
        return self._refusal is not None

    @contextmanager
    def pass_through(self) -> Iterator[None]:
        """Wait for one's turn, which is at once when the gate is open; raises a remembered refusal."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_open or self.is_refused or not self._is_taken)
            self.check()
            alone = not self._is_open
            self._is_taken = self._is_taken or alone
        try:
            yield
        finally:
            if alone:
                with self._changed:
                    self._is_taken = False
                    self._changed.notify_all()

    def check(self) -> None:
        """Raise the remembered refusal, if there is one."""
        if self._refusal is not None:
            # A copy each: threads that raise one object together mix up its traceback.
            raise copy.copy(self._refusal)

    def open(self) -> None:
        """Let everybody through from now on, since iPlum answered."""
        if not self._is_open:
            with self._changed:
                self._is_open = True
                self._changed.notify_all()

    def refuse(self, refusal: AccountError) -> None:
        """Raise this in every further call, and in those that wait."""
        with self._changed:
            self._refusal = self._refusal or copy.copy(refusal)
            self._changed.notify_all()
