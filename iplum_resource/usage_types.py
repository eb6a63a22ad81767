"""Negotiation of usage types: iPlum's list and its own example disagree (docs/design.md, "Usage types")."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from iplum_resource.client import IPlumClient
from iplum_resource.errors import InvalidDate, InvalidRequest
from iplum_resource.http.responses import WindowResponse
from iplum_resource.window import Window

_logger = logging.getLogger("iplum_resource")
_PROBE_WIDTH = timedelta(hours=1)


class UsageRequest:
    """Requests for usage with every accepted type. Shared by the threads of a run.

    `wanted` are the types to try.
    """

    def __init__(self, client: IPlumClient, wanted: Sequence[str]) -> None:
        self._client = client
        self._wanted = self._accepted = tuple(wanted)
        self._probed = False
        self._lock = threading.Lock()

    def once(self, window: Window) -> WindowResponse:
        """Send one request, without retries after a 500 or a timeout."""
        return self(window, retry_server_errors=False)

    def __call__(self, window: Window, *, retry_server_errors: bool = True) -> WindowResponse:
        """Fetch a window's usage; the response's `usage_types` are those that were sent, `refused_types` the others.

        Raises:
            InvalidRequest: No type is accepted, or the request was rejected for another reason.

        """
        sent = self._accepted
        try:
            return self._fetch(window, sent, retry_server_errors=retry_server_errors)
        except InvalidDate:
            raise
        except InvalidRequest:
            with self._lock:
                if not self._probed:
                    self._probe(Window(window.start, min(window.end, window.start + _PROBE_WIDTH)))
            if self._accepted in ((), sent):
                raise
            return self._fetch(window, self._accepted, retry_server_errors=retry_server_errors)

    def _fetch(self, window: Window, sent: tuple[str, ...], *, retry_server_errors: bool) -> WindowResponse:
        response = self._client.fetch_usage(window, sent, retry_server_errors=retry_server_errors)
        return replace(response, refused_types=tuple(name for name in self._wanted if name not in sent))

    def _probe(self, window: Window) -> None:
        accepted = tuple(name for name in self._accepted if self._is_accepted(name, window))
        refused = [name for name in self._accepted if name not in accepted]
        if accepted and refused:
            self._accepted = accepted
            _logger.warning(
                "iPlum rejects the usage types %s. The sync continues with %s.", ", ".join(refused), ", ".join(accepted)
            )
        # Set only after the probe succeeded, so that a failed probe is repeated.
        self._probed = True

    def _is_accepted(self, name: str, window: Window) -> bool:
        try:
            self._client.fetch_usage(window, [name])
        except InvalidRequest:
            return False
        return True
