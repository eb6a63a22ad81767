"""The state of a running stand-in: its options, history, fault counters and received requests."""

import time
from dataclasses import dataclass, field
from typing import Any

from iplum_resource.standin.faults import Faults, RateLimit
from iplum_resource.standin.history import History
from iplum_resource.standin.options import Options


@dataclass(frozen=True, slots=True)
class Received:
    """One request: method, path, JSON body, and response status.

    `status` is None if the connection was reset. `at` is in seconds of the monotonic clock.
    """

    method: str
    path: str
    body: dict[str, Any] | None = field(repr=False)
    status: int | None
    at: float


class Simulation:
    """One set of options with its history and fault counters."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.history = History(options)
        self.faults = Faults(options.seed)
        self.rate_limit = RateLimit(options.rate_limit) if options.rate_limit else None


class ServerState:
    """The current simulation, which can be replaced while the server runs.

    Received requests are appended to `requests`, if given.
    """

    def __init__(self, options: Options, requests: list[Received] | None = None) -> None:
        self.simulation = Simulation(options)
        self._requests = requests

    def record(self, method: str, path: str, *, body: dict[str, Any] | None, status: int | None) -> None:
        """Add a request to the list, if there is one."""
        if self._requests is not None:
            self._requests.append(Received(method, path, body, status, time.monotonic()))
