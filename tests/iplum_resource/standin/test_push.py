"""Callbacks sent by the stand-in: the records of its history, with configurable losses, duplicates and reordering."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from iplum_resource.standin.callbacks import Pusher
from iplum_resource.standin.history import History
from iplum_resource.standin.options import Options

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
MEDIA = "http://media.example"


class Sink:
    """A callback receiver that responds with a given status."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, Any]]] = []
        self.status = 200
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink.received.append((self.path, json.loads(body)))
                self.send_response(sink.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/callbacks/token"


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    thread = Thread(target=sink.server.serve_forever, name="sink")
    thread.start()
    yield sink
    sink.server.shutdown()
    sink.server.server_close()
    thread.join()


def build_options(sink: Sink, **changes: Any) -> Options:
    values = {"now": lambda: NOW, "push": sink.url, "push_past": timedelta(days=3), **changes}
    return Options(**values)


def expected_ids(options: Options, since: datetime, until: datetime) -> list[str]:
    history = History(options)
    rows = [*history.list_rows("usage", since, end=until), *history.list_rows("recordings", since, end=until)]
    return sorted(json.loads(row)["recordId"] for row in rows)


def test_each_past_event_is_pushed_once_in_the_documented_format(sink: Sink) -> None:
    options = build_options(sink)
    with Pusher(options, media_base=MEDIA) as pusher:
        report = pusher.push()
        assert pusher.push().acknowledged == 0
    assert sorted(record["recordId"] for _, record in sink.received) == expected_ids(options, NOW - timedelta(3), NOW)
    assert (report.acknowledged, report.dropped, report.rejected) == (len(sink.received), 0, 0)
    usage = [record for path, record in sink.received if path == "/callbacks/token/usage"]
    recordings = [record for path, record in sink.received if path == "/callbacks/token/recordings"]
    assert {"source", "clientReferenceId", "usage", "recordId", "from", "to", "startTimeUTC", "endTimeUTC"} | {
        "duration", "direction", "type", "content", "iPlumCredits", "userId"
    } == set().union(*usage)  # fmt: skip
    assert {"source", "clientReferenceId", "recordId", "phonenumber", "dateTimeUTC"} | {
        "duration", "direction", "length", "content", "userId"
    } == set().union(*recordings)  # fmt: skip
    assert all(record["content"].startswith(f"{MEDIA}/") for record in recordings)
    assert all(record["content"].endswith(".pdf") for record in usage if record["usage"] == "fax")


def test_an_event_is_pushed_after_it_ends(sink: Sink) -> None:
    clock = [NOW]
    options = build_options(sink, now=lambda: clock[0], push_past=timedelta(0))
    with Pusher(options, media_base=MEDIA) as pusher:
        assert pusher.push().acknowledged == 0
        clock[0] = NOW + timedelta(hours=5)
        assert pusher.push().acknowledged > 0
    assert len({record["recordId"] for _, record in sink.received}) == len(sink.received)


def test_callbacks_are_dropped_duplicated_and_reordered_as_configured(sink: Sink) -> None:
    options = build_options(sink, push_drops=0.2, push_duplicates=0.3, push_reorder=0.5)
    with Pusher(options, media_base=MEDIA) as pusher:
        report = pusher.push()
    expected = expected_ids(options, NOW - timedelta(3), NOW)
    pushed = Counter(record["recordId"] for _, record in sink.received)
    assert set(pushed) < set(expected)
    assert report.dropped == len(expected) - len(pushed) > 0
    assert set(pushed.values()) == {1, 2}
    starts = [record["startTimeUTC"] for path, record in sink.received if path.endswith("usage")]
    assert starts != sorted(starts)


def test_rejected_callbacks_are_counted_and_not_retried(sink: Sink) -> None:
    sink.status = 503
    with Pusher(build_options(sink), media_base=MEDIA) as pusher:
        report = pusher.push()
        assert report.rejected == len(sink.received) > 0
        assert pusher.push().rejected == 0
    with Pusher(build_options(sink, push="http://127.0.0.1:1"), media_base=MEDIA) as pusher:
        assert pusher.push().acknowledged == 0
