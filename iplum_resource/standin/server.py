"""The stand-in on a socket: in the foreground for a command, in a thread for tests."""

import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from iplum_resource.standin.application import create_shared_app
from iplum_resource.standin.callbacks import Pusher
from iplum_resource.standin.fault_responses import Protocol
from iplum_resource.standin.options import Options
from iplum_resource.standin.server_state import Received, ServerState, Simulation

_GRACE = 2  # seconds for open responses when the server stops


class Running:
    """A server running in the background.

    `url` is the base of the API, `media_host` the host and port of its media URLs. `requests` grows while the
    server runs, and may be cleared.
    """

    def __init__(self, state: ServerState, url: str, *, requests: list[Received]) -> None:
        self._state = state
        self.url = url
        self.media_host = url.removeprefix("http://")
        self.requests = requests

    @property
    def options(self) -> Options:
        """The current options; new ones apply from the next request on, and restart all fault counters."""
        return self._state.simulation.options

    @options.setter
    def options(self, options: Options) -> None:
        self._state.simulation = Simulation(options)


def serve(options: Options, *, host: str = "127.0.0.1", port: int = 8080) -> None:
    """Run the API in the foreground until SIGTERM or SIGINT; prints one line with the URL.

    With callbacks, a second line counts the past events that were sent; new events are sent as they happen.

    Raises:
        OSError: The address cannot be used.

    """
    listener = _listen(host, port)
    sys.stdout.write(f"Stand-in for the iPlum API: {_url(listener)}\n")
    sys.stdout.flush()
    stop = threading.Event()
    if options.push is not None:
        base = options.media_base or f"{_url(listener)}/media"
        threading.Thread(target=_push, args=(Pusher(options, media_base=base), stop), daemon=True).start()
    try:
        _build_server(ServerState(options), threading.Event()).run(sockets=[listener])
    finally:
        stop.set()


@contextmanager
def running(options: Options) -> Iterator[Running]:
    """Run the API in a thread, on a free port of 127.0.0.1, for the duration of the block."""
    listener = _listen("127.0.0.1", 0)
    requests: list[Received] = []
    state, url = ServerState(options, requests), _url(listener)
    ready = threading.Event()
    server = _build_server(state, ready)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="standin", daemon=True)
    thread.start()
    ready.wait()
    try:
        yield Running(state, url, requests=requests)
    finally:
        server.should_exit = True
        thread.join()


def _push(pusher: Pusher, stop: threading.Event) -> None:
    """Send callbacks for past events, print the count, and continue with new events."""
    with pusher:
        report = pusher.push()
        sys.stdout.write(
            f"Sent {report.acknowledged} callbacks; dropped {report.dropped}, rejected {report.rejected}\n"
        )
        sys.stdout.flush()
        pusher.push_until(stop)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=256)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _build_server(state: ServerState, ready: threading.Event) -> "_Server":
    config = uvicorn.Config(
        create_shared_app(state),
        http=Protocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=_GRACE,
    )
    return _Server(config, ready)


class _Server(uvicorn.Server):
    """A server that signals when it listens, and ends on a signal without raising it again."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.should_exit = True
