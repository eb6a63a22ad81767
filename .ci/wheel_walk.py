#!/usr/bin/env python3
"""Build the wheel, install it in a fresh virtual environment, and run its commands in an empty folder.

The dependencies are those of the Python that runs this, so that nothing is downloaded. The commands cannot see the
checkout. Usage: `.venv/bin/python .ci/wheel_walk.py`; exit code 0 if every command succeeded.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_SECONDS = 240


class Walk:
    """A virtual environment with the wheel, and an empty folder to run it in."""

    def __init__(self, folder: Path) -> None:
        self.environment, self.empty = folder / "venv", folder / "empty"
        self.empty.mkdir()
        #: Where an installation without a checkout keeps its files, if nothing else is set.
        self.home = folder / "user" / ".local" / "share" / "iplum"
        self.variables = {"PATH": os.environ["PATH"], "HOME": str(folder / "user")}

    def install(self, dist: Path) -> None:
        """Build the wheel and install it."""
        build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(dist)]
        subprocess.run(build, cwd=_ROOT, check=True, capture_output=True)
        (wheel,) = dist.glob("*.whl")
        venv.create(self.environment, with_pip=False, symlinks=True)
        pip = [sys.executable, "-m", "pip", "--python", str(self.environment / "bin" / "python"), "install", "--quiet"]
        subprocess.run([*pip, "--no-deps", "--no-index", "--no-compile", str(wheel)], check=True)
        # A path in this file is searched, but the .pth files in it, such as that of the checkout, are not read.
        packages = sysconfig.get_path("purelib", vars={"base": str(self.environment)})
        (Path(packages) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        """Run an `iplum` command; return what it prints."""
        began = time.monotonic()
        done = subprocess.run(
            self._build(arguments),
            cwd=self.empty,
            env=self.variables,
            text=True,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
        )
        print(f"{time.monotonic() - began:5.1f} s  iplum {' '.join(arguments)}", flush=True)
        if done.returncode not in codes:
            sys.exit(f"exit code {done.returncode}\n{done.stdout}")
        return done.stdout

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run an `iplum` command in the background."""
        with subprocess.Popen(
            self._build(arguments),
            cwd=self.empty,
            env=self.variables,
            stdout=subprocess.PIPE,
            text=True,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                # A background job of a shell ignores SIGINT; a process in its own session does not.
                os.killpg(process.pid, signal.SIGTERM)
                process.communicate(timeout=60)

    def _build(self, arguments: tuple[str, ...]) -> list[str]:
        return [str(self.environment / "bin" / "iplum"), *arguments]


def walk_account(walk: Walk) -> None:
    """Set up an account of the stand-in, sync it, and run the other commands."""
    with walk.running("standin", "--port", "0", "--rows-per-day", "5") as standin:
        url = standin.stdout.readline().split()[-1]
        day = f"{datetime.now(UTC) - timedelta(days=6):%Y-%m-%d}"
        walk.variables |= {
            "IPLUM_ACCESS_KEY": "STANDINACCESSKEY",
            "IPLUM_SECRET_KEY": "standin-secret",
            "IPLUM_BASE_URL": url,
            "IPLUM_MEDIA_HOSTS": url.removeprefix("http://"),
        }
        walk.run("init", "--login-id", "admin@clinic.example", "--start-date", day, "--no-sync")
        check(walk.home / ".env", "exists")
        first = walk.run("doctor").splitlines()[0]
        if not re.fullmatch(rf"OK +home +{re.escape(str(walk.home))} \(the folder for user data\)", first):
            sys.exit(f"the doctor starts with: {first}")
        for command in (["sync"], ["archive"], ["report"], ["verify"]):
            walk.run(*command)
    for file in ("warehouse.duckdb", "report.html", "dagster/dagster.yaml"):
        check(walk.home / "data" / file, "exists")
    count = walk.run("sql", "SELECT count(*) AS n FROM usage", "--format", "csv").split()[-1]
    if int(count) < 1:
        sys.exit("the table usage is empty")


def walk_ui(walk: Walk) -> None:
    """Start the UI; it loads the definitions and refuses requests of other web pages."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    query = b'{"query": "{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name } } } } }"}'
    with walk.running("ui", "--port", str(port)) as process:
        deadline = time.monotonic() + _SECONDS
        while not (found := send(port, query)).startswith("200"):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(
                    f"the UI does not start: {found}\n{process.stdout.read() if process.poll() is not None else ''}"
                )
            time.sleep(0.5)
        if "pipelines.definitions" not in found:
            sys.exit(f"the UI did not load the definitions: {found}")
        if not (refused := send(port, query, Origin="https://evil.example")).startswith("403"):
            sys.exit(f"the UI accepted a request of another page: {refused}")
    print("       iplum ui", flush=True)


def send(port: int, query: bytes, **headers: str) -> str:
    """Send a GraphQL query; return the status and the body, or the error."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql", data=query, headers={"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return f"{response.status} {response.read().decode()}"
    except urllib.error.HTTPError as error:
        return f"{error.code}"
    except OSError as error:
        return str(error)


def walk_demo(walk: Walk) -> None:
    """Run the demo, which ignores the account's settings."""
    shown = walk.run("demo", "--days", "5")
    check(walk.home / "demo-data" / "report.html", "exists")
    if "Loaded in" not in shown:
        sys.exit(f"the demo printed: {shown}")


def check(path: Path, what: str) -> None:
    """Exit with an error if a file is missing."""
    if not path.exists():
        sys.exit(f"no file {path}: {what} was expected")


def main() -> None:
    """Build, install and walk."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        walk = Walk(Path(name))
        walk.install(Path(name) / "dist")
        walk_account(walk)
        walk_ui(walk)
        walk_demo(walk)
        if left := list(walk.empty.iterdir()):
            sys.exit(f"the empty folder now holds {left}")
    print("The wheel works in an empty folder.")


if __name__ == "__main__":
    main()
