"""Commands run on a pseudo-terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

_START = """
import fcntl, runpy, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
runpy.run_module("pipelines.cli", run_name="__main__")
"""
_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """The user's side of a terminal on which a command runs."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.raw = ""
        self._master = master
        self._read_to = 0
        self.is_closed = False

    @property
    def output(self) -> str:
        """The output so far, without colors and cursor moves."""
        return _ESCAPE_SEQUENCE.sub("", self.raw).replace("\r\n", "\n")

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Read until a text appears after the text of the last `wait_for`."""
        deadline = time.monotonic() + seconds
        while (place := self.output.find(text, self._read_to)) < 0:
            assert self._read(deadline), f"{text!r} is not in the output:\n{self.output}"
        self._read_to = place + len(text)

    def type(self, line: str) -> None:
        """Type a line and press Enter."""
        os.write(self._master, f"{line}\n".encode())

    def interrupt(self) -> None:
        """Send Ctrl-C, and again after two seconds: one that arrives just before a read begins is seen after it."""
        for _ in range(10):
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(2)
            except subprocess.TimeoutExpired:
                continue
            return

    def close(self) -> None:
        """Close the window: the system sends SIGHUP, and every later write of the command fails."""
        os.close(self._master)
        self.is_closed = True

    def finish(self, seconds: float = 60) -> int:
        """Read all output and return the exit code."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        return self.process.wait(timeout=max(1.0, deadline - time.monotonic()))

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            chunk = os.read(self._master, 1 << 16)
        except OSError:  # Linux reports the end of a terminal as EIO
            return False
        self.raw += chunk.decode(errors="replace")
        return bool(chunk)


@contextmanager
def run_on_terminal(*arguments: str, environ: Mapping[str, str], columns: int = 100) -> Iterator[Terminal]:
    """Run `iplum` with arguments on a terminal of `columns` columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLUMNS"}}
    process = subprocess.Popen(
        [sys.executable, "-c", _START, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**inherited, "TERM": "xterm-256color", **environ},
        start_new_session=True,
    )
    os.close(slave)
    terminal = Terminal(process, master)
    try:
        yield terminal
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
        if not terminal.is_closed:
            os.close(master)
