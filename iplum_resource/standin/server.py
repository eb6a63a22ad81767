"""The process: the stand-in on a socket, for a command in the foreground, for tests in a thread."""

import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from iplum_resource.standin.application import create_staged_app
from iplum_resource.standin.options import Options
from iplum_resource.standin.push import Pusher
from iplum_resource.standin.stage import Play, Received, Stage
from iplum_resource.standin.wire import Protocol

_GRACE = 2  # seconds for the answers under way when the server stops


class Running:
    """Reach a server that runs in the background: where it is, what it received, how it shall behave.

    `url` is the base of the API, `media_host` the host and port of its media URLs. `requests` grows while
    the server runs, and may be cleared.
    """

    def __init__(self, stage: Stage, url: str, *, requests: list[Received]) -> None:
        self._stage = stage
        self.url = url
        self.media_host = url.removeprefix("http://")
        self.requests = requests

    @property
    def options(self) -> Options:
        """The options in force; new ones hold from the next request on, and all faults count anew."""
        return self._stage.play.options

    @options.setter
    def options(self, options: Options) -> None:
        self._stage.play = Play(options)


def serve(options: Options, *, host: str = "127.0.0.1", port: int = 8080) -> None:
    """Play the API in the foreground until SIGTERM or SIGINT; prints one line with the URL.

    Where it pushes, a second line tells what it pushed of the past; what happens from then on is pushed too.

    Raises:
        OSError: where the address can't be had.

    """
    listener = _listen(host, port)
    sys.stdout.write(f"Stand-in for the iPlum API: {_url(listener)}\n")
    sys.stdout.flush()
    stop = threading.Event()
    if options.push is not None:
        base = options.media_base or f"{_url(listener)}/media"
        threading.Thread(target=_push, args=(Pusher(options, media_base=base), stop), daemon=True).start()
    try:
        _build_server(Stage(options), threading.Event()).run(sockets=[listener])
    finally:
        stop.set()


@contextmanager
def running(options: Options) -> Iterator[Running]:
    """Play the API in a thread, on a free port of 127.0.0.1, as long as the block lasts."""
    listener = _listen("127.0.0.1", 0)
    requests: list[Received] = []
    stage, url = Stage(options, requests), _url(listener)
    ready = threading.Event()
    server = _build_server(stage, ready)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="standin", daemon=True)
    thread.start()
    ready.wait()
    try:
        yield Running(stage, url, requests=requests)
    finally:
        server.should_exit = True
        thread.join()


def _push(pusher: Pusher, stop: threading.Event) -> None:
    """Push what is past, say so, and go on with what happens."""
    with pusher:
        report = pusher.push()
        sys.stdout.write(
            f"Pushed {report.acknowledged} events; dropped {report.dropped}, not taken {report.refused}\n"
        )
        sys.stdout.flush()
        pusher.push_until(stop)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=256)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _build_server(stage: Stage, ready: threading.Event) -> "_Server":
    config = uvicorn.Config(
        create_staged_app(stage),
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
    """Tell when it listens, and end on a signal without raising it again: a stop is no failure."""

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
