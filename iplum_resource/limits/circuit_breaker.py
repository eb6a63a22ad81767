"""The circuit breaker: after a fatal error, no further request is sent."""

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from iplum_resource.errors import AccountError


class CircuitBreaker:
    """A breaker that lets one call through until iPlum has responded, then all calls until an error trips it.

    Otherwise all threads would try a wrong key at once, which may lock the account.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_closed = False
        self._is_probing = False
        self._error: AccountError | None = None

    @property
    def is_closed(self) -> bool:
        """Whether iPlum has responded to this client before, so that all calls may pass."""
        return self._is_closed

    @property
    def is_tripped(self) -> bool:
        """Whether every further call fails without a request."""
        return self._error is not None

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Run one call: at once if the breaker is closed, else alone. Raises the error that tripped it."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self.is_tripped or not self._is_probing)
            self.check()
            is_probe = not self._is_closed
            self._is_probing = self._is_probing or is_probe
        try:
            yield
        finally:
            if is_probe:
                with self._changed:
                    self._is_probing = False
                    self._changed.notify_all()

    def check(self) -> None:
        """Raise the error that tripped the breaker, if any."""
        if self._error is not None:
            # A copy each: threads that raise one object together mix up its traceback.
            raise copy.copy(self._error)

    def close(self) -> None:
        """Admit all calls, because iPlum responded."""
        if not self._is_closed:
            with self._changed:
                self._is_closed = True
                self._changed.notify_all()

    def trip(self, error: AccountError) -> None:
        """Fail every waiting and further call with this error."""
        with self._changed:
            self._error = self._error or copy.copy(error)
            self._changed.notify_all()
