"""Pulls of a window, from the stand-in over HTTP or from a plain function."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from iplum_resource.errors import IPlumError, ServerFailed
from iplum_resource.http.responses import WindowResponse
from iplum_resource.standin.options import Options
from iplum_resource.standin.server import Running
from iplum_resource.window import Window
from iplum_resource.window_pull import FetchWindow, PulledResponse, ResponseSizes, Verify, WindowPull
from tests.support.window_requests import CREDENTIALS, WIDE, Clock, build_client

TYPES = ("iPlumtext", "iplumcall", "externalcall", "externaltext", "fax")
LATER = datetime(2026, 1, 1, tzinfo=UTC)
"""A present at which all windows of these tests are closed."""


@dataclass(frozen=True)
class Pulled:
    """Everything that came of one pull."""

    responses: list[PulledResponse]
    error: IPlumError | None

    @property
    def complete_ids(self) -> set[str]:
        return {name for pulled in self.responses if pulled.complete for name in ids_of(pulled.response)}

    @property
    def kept_ids(self) -> set[str]:
        return {name for pulled in self.responses for name in ids_of(pulled.response)}

    @property
    def complete_windows(self) -> list[Window]:
        return sorted(pulled.response.window for pulled in self.responses if pulled.complete)


def pull(
    fetch: FetchWindow,
    window: Window = WIDE,
    *,
    sizes: ResponseSizes | None = None,
    verify: Verify = "auto",
    now: datetime = LATER,
) -> Pulled:
    responses: list[PulledResponse] = []
    try:
        for pulled in WindowPull(fetch, window, sizes or ResponseSizes(), verify, lambda: now):
            responses.append(pulled)  # noqa: PERF402 - responses before an error count
    except IPlumError as error:
        return Pulled(responses, error)
    return Pulled(responses, None)


def ids_of(response: WindowResponse) -> set[str]:
    return {row["recordId"] for row in response.records if isinstance(row, dict)}


@contextmanager
def asking(
    standin: Running, clock: Clock | None = None, *, client: Mapping[str, Any] | None = None, **options: Any
) -> Iterator[FetchWindow]:
    """Ask the stand-in through a client that waits for nothing, with these options of the stand-in's."""
    clock = clock or Clock()
    standin.options = Options(
        access_key=CREDENTIALS.access_key,
        secret_key=CREDENTIALS.secret_key,
        login_id=CREDENTIALS.login_id,
        clock=clock.now,
        **options,
    )
    with build_client(standin.url, clock, **(client or {})) as asked:
        yield lambda window: asked.fetch_usage(window, TYPES)


def list_true_ids(standin: Running, window: Window = WIDE) -> set[str]:
    """The ids of a window on the same server without its cap and its faults; asked by a client of its own."""
    options, clock = standin.options, Clock()
    sound = replace(options, row_cap=None, fail_500_wider_than=None, fail_500_days=frozenset(), fail_500_first=0)
    standin.options = replace(sound, clock=clock.now)
    with build_client(standin.url, clock) as client:
        found = ids_of(client.fetch_usage(window, TYPES))
    standin.options = options
    standin.requests.clear()
    return found


@dataclass
class Account:
    """An API without HTTP: rows by the instant at which they started, and what it does to answers."""

    rows: Mapping[str, datetime]
    cap: int | None = None
    end_inclusive: bool = True
    widest: timedelta | None = None
    refused: Window | None = None
    asked: list[Window] = field(default_factory=list)

    def __call__(self, window: Window) -> WindowResponse:
        self.asked.append(window)
        if self.widest is not None and window.width > self.widest:
            raise ServerFailed(str(window), 500)
        if self.refused is not None and window.start < self.refused.end and self.refused.start < window.end:
            raise ServerFailed(str(window), 500)
        return build_response(window, self.list_ids(window)[: self.cap])

    def list_ids(self, window: Window) -> list[str]:
        inside = [
            (start, name)
            for name, start in self.rows.items()
            if window.start <= start < window.end or (self.end_inclusive and start == window.end)
        ]
        return [name for _, name in sorted(inside)]


def build_response(window: Window, names: list[str]) -> WindowResponse:
    body = json.dumps([{"recordId": name} for name in names]).encode()
    return WindowResponse(window, None, body, len(names), LATER, LATER)


def spread(count: int, *, window: Window = WIDE, name: str = "r") -> dict[str, datetime]:
    """So many rows at even distances, none on an edge."""
    step = window.width / (count + 1)
    return {f"{name}-{number}": window.start + step * (number + 1) for number in range(count)}
