"""Resources of a benchmark: a scratch folder, the API server, the `iplum` command, and an environment for dlt."""

import json
import os
import pstats
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar
from urllib.request import urlopen

from benchmarks.costs import Cost, measure
from pipelines.settings import PROJECT, VARIABLES

_T = TypeVar("_T")
IPLUM = Path(sys.executable).with_name("iplum")
RIVALS = PROJECT / "benchmarks" / "rivals"
_GRACE = 5  # seconds for a process to end


@dataclass(frozen=True)
class RequestTimes:
    """Requests seen by the API: start of each request and end of its response (monotonic seconds)."""

    requested_at: Sequence[float]
    responded_at: Sequence[float]
    cpu: float

    @property
    def span(self) -> float:
        """Seconds from the first request to the end of the last response."""
        return max(self.responded_at) - min(self.requested_at)


@dataclass(frozen=True)
class Api:
    """A running API server."""

    url: str

    def read_request_times(self) -> RequestTimes:
        """Return the requests since the last call, and clear them."""
        with urlopen(f"{self.url}/request-times", timeout=60) as response:  # noqa: S310 - the benchmark server on loopback
            return RequestTimes(**json.load(response))


@dataclass(frozen=True)
class Workshop:
    """Resources and options of a benchmark.

    Each compared program runs `rounds` times, in turn. `quick` selects tiny sizes, to test that the benchmarks run.
    `offline` skips programs that would have to be downloaded.
    """

    folder: Path
    rounds: int = 3
    quick: bool = False
    offline: bool = False

    def choose(self, full: _T, quick: _T) -> _T:
        """Return the full or the quick size."""
        return quick if self.quick else full

    def new_folder(self, name: str) -> Path:
        """Create an empty folder that exists until `clear`."""
        rounds = self.folder / "rounds"
        path = rounds / f"{name}-{sum(1 for _ in rounds.glob('*'))}"
        path.mkdir(parents=True)
        return path

    def clear(self) -> None:
        """Remove the folders of the rounds, and keep prepared data that other benchmarks use."""
        shutil.rmtree(self.folder / "rounds", ignore_errors=True)

    def measure(self, *command: str | Path, environ: Mapping[str, str] | None = None) -> Cost:
        """Run a program and return its cost."""
        return measure(command, {**self.environ, **(environ or {})}, folder=self.folder)

    def iplum(self, *arguments: str, data: Path, api: Api | None = None, **settings: str) -> Cost:
        """Run `iplum` with its data in `data` and requests to `api`, and return its cost."""
        return self.measure(IPLUM, *arguments, environ=self.account(data, api, **settings))

    def profile(
        self, timer: Literal["wall", "cpu"], *arguments: str, data: Path, api: Api | None = None, **settings: str
    ) -> pstats.Stats:
        """Run `iplum` under cProfile, and return the profile in wall time or CPU time."""
        out = self.folder / "profile.stats"
        environ = self.account(data, api, **settings)
        self.measure(sys.executable, "-m", "benchmarks.profiling", timer, out, *arguments, environ=environ)
        return pstats.Stats(str(out))

    def account(self, data: Path, api: Api | None = None, **settings: str) -> dict[str, str]:
        """Return the environment variables of an account. Settings of the caller and of `.env` are overridden."""
        return {
            **{variable.name: "" for variable in VARIABLES},
            "IPLUM_ACCESS_KEY": "BENCHMARKKEY",
            "IPLUM_SECRET_KEY": "benchmark-secret",
            "IPLUM_LOGIN_ID": "admin@clinic.example",
            "IPLUM_BASE_URL": api.url if api else "",
            "IPLUM_DATA": str(data),
            "IPLUM_REQUESTS_PER_SECOND": "1000",
            **{f"IPLUM_{name.upper()}": value for name, value in settings.items()},
        }

    def prepare_responses(self, first: date, last: date, rows: int) -> Path:
        """Prepare the API responses of a history, once for all benchmarks with the same history."""
        path = self.folder / f"responses-{first}-{last}-{rows}"
        if not path.exists():
            self.measure(sys.executable, "-m", "benchmarks.responses", path, str(first), str(last), str(rows))
        return path

    def prepare_lake(self, first: date, last: date, rows: int) -> Path:
        """Prepare a data folder with a history, once for all benchmarks with the same history."""
        path = self.folder / f"lake-{first}-{last}-{rows}"
        if not path.exists():
            self.measure(sys.executable, "-m", "benchmarks.lake", path, str(first), str(last), str(rows))
        return path

    @contextmanager
    def serve(self, responses: Path, *, latency: float = 0) -> Iterator[Api]:
        """Run the API server in its own process. It responds after `latency` seconds."""
        with subprocess.Popen(  # noqa: S603 - starts the project's own program
            [sys.executable, "-m", "benchmarks.api", str(responses), str(latency)],
            stdout=subprocess.PIPE,
            text=True,
            env=self.environ,
        ) as process:
            try:
                yield Api(process.stdout.readline().strip() if process.stdout else "")
            finally:
                _end(process)

    @cached_property
    def dlt_python(self) -> Path:
        """The Python interpreter of a temporary virtual environment with dlt."""
        home = self.folder / "dlt"
        python = home / "bin" / "python"
        requirements = RIVALS / "requirements.txt"
        install = ("install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", requirements)
        self.measure(sys.executable, "-m", "venv", home)
        self.measure(python, "-m", "pip", *install)
        return python

    @cached_property
    def environ(self) -> dict[str, str]:
        """The environment variables of all programs: those of this process without IPLUM_ and DAGSTER_ variables."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("IPLUM_", "DAGSTER_"))}
        paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**kept, "PYTHONPATH": os.pathsep.join(paths), "RUNTIME__DLTHUB_TELEMETRY": "false"}


def _end(process: subprocess.Popen[str]) -> None:
    """Terminate a process, and kill it if it ignores SIGTERM, for example because of `nohup`."""
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
