"""An `iplum` command that runs next to this process, such as the stand-in of the demo and the screenshots."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_OF_AN_ACCOUNT = ("IPLUM_", "AWS_", "DAGSTER_")


@contextmanager
def run_standin(*options: str, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the stand-in API next to this process for the duration of the block; yields its URL and the process."""
    with run_command("standin", "--port", str(port), *options) as process:
        yield read_url(process), process


@contextmanager
def run_command(*command: str, environ: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run an `iplum` command next to this process, and stop it afterwards."""
    with subprocess.Popen(  # noqa: S603 our own
        [sys.executable, "-P", "-m", "pipelines.cli", *command],
        stdout=subprocess.PIPE,
        text=True,
        env=environ or list_unrelated_variables(),
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def read_line(process: subprocess.Popen[str]) -> str:
    """Read the next line that the command prints, empty at its end."""
    return process.stdout.readline().strip() if process.stdout else ""


def read_url(process: subprocess.Popen[str]) -> str:
    """Read the URL at the end of the next line."""
    return read_line(process).split()[-1]


def list_unrelated_variables() -> dict[str, str]:
    """List the variables that describe no account, bucket or Dagster instance."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OF_AN_ACCOUNT)}
