"""Which usage types an API takes: the document's list and its own example disagree."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import timedelta

from iplum_resource.client import IPlumClient
from iplum_resource.errors import InvalidDate, InvalidRequest
from iplum_resource.http.responses import WindowResponse
from iplum_resource.window import Window

_logger = logging.getLogger("iplum_resource")
_PROBE_WIDTH = timedelta(hours=1)


class UsageRequest:
    """Ask for usage with every type that the API takes; shared by the threads of a run.

    `wanted` are the types to try.
    """

    def __init__(self, client: IPlumClient, wanted: Sequence[str]) -> None:
        self._client = client
        self._accepted = tuple(wanted)
        self._probed = False
        self._lock = threading.Lock()

    def once(self, window: Window) -> WindowResponse:
        """Ask without a second try after a 500 or a time-out."""
        return self(window, patient=False)

    def __call__(self, window: Window, *, patient: bool = True) -> WindowResponse:
        """Get a window's answer, whose `usage_types` are those that were sent.

        Raises what `IPlumClient.fetch_usage` raises: `InvalidRequest` where no type is accepted, or where this
        request is refused for something else than its types.
        """
        sent = self._accepted
        try:
            return self._client.fetch_usage(window, sent, patient=patient)
        except InvalidDate:
            raise
        except InvalidRequest:
            with self._lock:
                if not self._probed:
                    self._probe(Window(window.start, min(window.end, window.start + _PROBE_WIDTH)))
            if self._accepted in ((), sent):
                raise
            return self._client.fetch_usage(window, self._accepted, patient=patient)

    def _probe(self, window: Window) -> None:
        accepted = tuple(name for name in self._accepted if self._is_accepted(name, window))
        refused = [name for name in self._accepted if name not in accepted]
        if accepted and refused:
            self._accepted = accepted
            _logger.warning(
                "iPlum refuses the usage types %s and takes %s; the sync goes on with those",
                ", ".join(refused),
                ", ".join(accepted),
            )
        # Only now: a probe that failed for another reason has found out nothing, so the next window tries again.
        self._probed = True

    def _is_accepted(self, name: str, window: Window) -> bool:
        try:
            self._client.fetch_usage(window, [name])
        except InvalidRequest:
            return False
        return True
