"""The callbacks that the vendor sends for events, once they have ended."""

import json
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import requests

from iplum_resource.standin.history import Dataset, History
from iplum_resource.standin.media import parse_content
from iplum_resource.standin.options import Options
from iplum_resource.standin.records import build_media_name

_PATHS: dict[Dataset, str] = {"usage": "usage", "recordings": "recordings"}
_TICK_SECONDS = 1.0
_LONGEST_EVENT = timedelta(days=1)
_MAX_DISPLACEMENT = 20
_TIMEOUT_SECONDS = 10

Push = tuple[str, dict[str, Any]]


@dataclass
class PushReport:
    """Counts of acknowledged events (including repeats), dropped ones, and rejected ones."""

    acknowledged: int = 0
    dropped: int = 0
    rejected: int = 0


class Pusher:
    """Sends the events of an account to `options.push` as they end.

    `media_base` is the base of media URLs. Events that ended before the first call are sent as far back as
    `options.push_past`. A context manager.
    """

    def __init__(self, options: Options, *, media_base: str) -> None:
        # A late row is late in API responses only; its callback is sent in time.
        self._options = replace(options, late_rows=0, row_cap=None, odd_rows=False, unknown_fields=False)
        self._history = History(self._options)
        self._media_base = media_base
        self._random = random.Random(f"{options.seed}:push")  # noqa: S311 - invented data
        self._session = requests.Session()
        self._pushed: dict[str, datetime] = {}
        self._since = options.now() - options.push_past

    def __enter__(self) -> "Pusher":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._session.close()

    def push(self) -> PushReport:
        """Send the events that have ended since the last call."""
        report = PushReport()
        events = list(self._list_new_events())
        kept = [event for event in events if self._random.random() >= self._options.push_drops]
        report.dropped = len(events) - len(kept)
        repeated = [event for event in kept if self._random.random() < self._options.push_duplicates]
        for path, record in self._shuffle([*kept, *repeated]):
            if self._send(path, record):
                report.acknowledged += 1
            else:
                report.rejected += 1
        return report

    def push_until(self, stop: threading.Event) -> None:
        """Send events as they end, until `stop` is set."""
        while not stop.wait(_TICK_SECONDS):
            self.push()

    def _list_new_events(self) -> Iterator[Push]:
        now = self._options.now()
        for dataset, path in _PATHS.items():
            for row in self._history.list_rows(dataset, self._since, end=now):
                record = json.loads(row)
                if record["recordId"] not in self._pushed:
                    self._pushed[record["recordId"]] = now
                    yield path, {**record, "content": self._build_content(dataset, record)}
        # Events that started longer ago than any event lasts have ended and were sent.
        self._since = max(self._since, now - _LONGEST_EVENT)
        self._pushed = {name: at for name, at in self._pushed.items() if at > now - 2 * _LONGEST_EVENT}

    def _build_content(self, dataset: Dataset, record: dict[str, Any]) -> str:
        if dataset == "recordings":
            return f"{self._media_base}/{build_media_name(record['recordId'], 'mp3', seed=self._options.seed)}"
        content = parse_content(record, seed=self._options.seed)
        if content is None:
            return ""
        return content.text if content.media_name is None else f"{self._media_base}/{content.media_name}"  # type: ignore[return-value]

    def _shuffle(self, events: list[Push]) -> list[Push]:
        def place(index: int) -> float:
            moved = self._random.random() < self._options.push_reorder
            return index + (self._random.random() * _MAX_DISPLACEMENT if moved else 0)

        places = [place(index) for index in range(len(events))]
        return [event for _, event in sorted(zip(places, events, strict=True), key=lambda pair: pair[0])]

    def _send(self, path: str, record: dict[str, Any]) -> bool:
        try:
            response = self._session.post(f"{self._options.push}/{path}", json=record, timeout=_TIMEOUT_SECONDS)
        except requests.RequestException:
            return False
        return response.status_code == HTTPStatus.OK
