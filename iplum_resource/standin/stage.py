"""What a server has on stage: options, with the history and the fault counts that belong to them."""

import time
from dataclasses import dataclass, field
from typing import Any

from iplum_resource.standin.faults import Faults, RateLimit
from iplum_resource.standin.history import History
from iplum_resource.standin.options import Options


@dataclass(frozen=True, slots=True)
class Received:
    """Tell of one request: where to, its JSON body if it had one, and what was answered.

    `status` is None where the connection was reset. `at` is in seconds of the monotonic clock.
    """

    method: str
    path: str
    body: dict[str, Any] | None = field(repr=False)
    status: int | None
    at: float


class Play:
    """Hold one set of options and all that follows from it; another set is another play."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.history = History(options)
        self.faults = Faults(options.seed)
        self.rate_limit = RateLimit(options.rate_limit) if options.rate_limit else None


class Stage:
    """Hold the play that is on; a new one takes the next request. `requests` is appended to if given."""

    def __init__(self, options: Options, requests: list[Received] | None = None) -> None:
        self.play = Play(options)
        self._requests = requests

    def record(self, method: str, path: str, *, body: dict[str, Any] | None, status: int | None) -> None:
        """Write a request down, if anybody wants to read it."""
        if self._requests is not None:
            self._requests.append(Received(method, path, body, status, time.monotonic()))
