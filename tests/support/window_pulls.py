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
"""A current time at which all windows of these tests are closed."""


@dataclass(frozen=True)
class PullResult:
    """The responses of one pull, and its error."""

    responses: list[PulledResponse]
    error: IPlumError | None

    @property
    def complete_ids(self) -> set[str]:
        return {name for pulled in self.responses if pulled.complete for name in ids_of(pulled.response)}

    @property
    def received_ids(self) -> set[str]:
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
) -> PullResult:
    responses: list[PulledResponse] = []
    try:
        for pulled in WindowPull(fetch, window, sizes or ResponseSizes(), verify, lambda: now):
            responses.append(pulled)  # noqa: PERF402 - responses before an error count
    except IPlumError as error:
        return PullResult(responses, error)
    return PullResult(responses, None)


def ids_of(response: WindowResponse) -> set[str]:
    return {row["recordId"] for row in response.records if isinstance(row, dict)}


@contextmanager
def open_fetch(
    standin: Running, clock: Clock | None = None, *, client: Mapping[str, Any] | None = None, **options: Any
) -> Iterator[FetchWindow]:
    """Yield a function that fetches windows from the stand-in through a client that never really sleeps.

    `client` has options of the client, `options` those of the stand-in.
    """
    clock = clock or Clock()
    standin.options = Options(
        access_key=CREDENTIALS.access_key,
        secret_key=CREDENTIALS.secret_key,
        login_id=CREDENTIALS.login_id,
        clock=clock.now,
        **options,
    )
    with build_client(standin.url, clock, **(client or {})) as iplum:
        yield lambda window: iplum.fetch_usage(window, TYPES)


def list_expected_ids(standin: Running, window: Window = WIDE) -> set[str]:
    """List the record IDs of a window on the same stand-in without its row cap and faults."""
    options, clock = standin.options, Clock()
    without_faults = replace(
        options, row_cap=None, fail_500_wider_than=None, fail_500_days=frozenset(), fail_500_first=0
    )
    standin.options = replace(without_faults, clock=clock.now)
    with build_client(standin.url, clock) as client:
        found = ids_of(client.fetch_usage(window, TYPES))
    standin.options = options
    standin.requests.clear()
    return found


@dataclass
class FakeApi:
    """An API without HTTP.

    Attributes:
        rows: Record IDs and their start times.
        cap: Maximum number of rows in a response; None for no limit.
        end_inclusive: Whether a row at the end of a request is returned.
        widest: Requests for wider windows fail with HTTP 500.
        refused: Requests that overlap this window fail with HTTP 500.
        requests: The requested windows, in order.
    """

    rows: Mapping[str, datetime]
    cap: int | None = None
    end_inclusive: bool = True
    widest: timedelta | None = None
    refused: Window | None = None
    requests: list[Window] = field(default_factory=list)

    def __call__(self, window: Window) -> WindowResponse:
        self.requests.append(window)
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


def spread_evenly(count: int, *, window: Window = WIDE, name: str = "r") -> dict[str, datetime]:
    """Return `count` rows at equal intervals, none of them on an edge of the window."""
    step = window.width / (count + 1)
    return {f"{name}-{number}": window.start + step * (number + 1) for number in range(count)}
