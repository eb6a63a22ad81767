"""`make demo`: the whole pipeline on this machine alone, against the stand-in API, in a folder of its own."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer
from rich.console import Console

from pipelines.commands.progress_bar import ProgressBar
from pipelines.commands.row_formats import write_rows
from pipelines.runs.archive import archive
from pipelines.runs.sync import sync
from pipelines.settings import PROJECT, VARIABLES, adopt_environment, load_settings
from pipelines.warehouse_folder import open_folder
from warehouse.outputs.query import run_query
from warehouse.snapshot.database import count_rows

_DAYS = 90
_PUSHED_DAYS = 10
FOLDER = PROJECT / "demo-data"
_SUMMARY = """
SELECT
    channel,
    direction,
    count(*) AS records,
    count(DISTINCT user_id) AS users,
    count(DISTINCT counterparty) AS counterparties,
    round(sum(duration_minutes) FILTER (WHERE channel = 'call')) AS minutes,
    round(sum(credits), 1) AS credits
FROM usage
GROUP BY ALL
ORDER BY channel, direction
"""
_CALLBACKS = """
SELECT
    dataset,
    sum(pushed_and_pulled) AS pushed_and_pulled,
    sum(pushed_only) AS pushed_only,
    sum(pulled_only) AS callbacks_lost,
    round(sum(pulled_only) / nullif(sum(pushed_and_pulled + pulled_only), 0), 3) AS loss_rate
FROM marts.callback_loss
GROUP BY dataset
ORDER BY dataset
"""


def main() -> None:
    """Sync and archive ninety invented days into `./demo-data`, show what came; exits 1 when anything failed."""
    began = _now()
    token = secrets.token_urlsafe(16)
    # Set to nothing, a variable is not read from a real account's `.env`.
    unset = {variable.name: "" for variable in VARIABLES}
    receiver = {**os.environ, **unset, "IPLUM_DATA": str(FOLDER), "IPLUM_CALLBACK_TOKEN": token}
    with (
        _run("receiver", "--port", "0", environ=receiver) as receiving,
        run_standin(*_pushing(_read_url(receiving), token)) as (url, standing_in),
    ):
        environ = describe_account(url, FOLDER, began=began)
        adopt_environment(environ)
        settings = load_settings(environ, PROJECT)
        typer.echo(f"{_DAYS} days of invented history, from {url} into {FOLDER.name}/")
        typer.echo(f"Callbacks of the last {_PUSHED_DAYS} days: {_read_line(standing_in)}")
        with ProgressBar(Console(stderr=True)) as bar:
            report = sync(settings, environ=environ, progress=bar, clock=_now)
            held = archive(settings, environ=environ, progress=bar, clock=_now)
    for failure in (*report.failures, *held.failures):
        typer.echo(f"error: {failure}", err=True)
    if report.failures or held.failures:
        sys.exit(1)
    folder = open_folder(settings)
    write_rows(run_query(folder, _SUMMARY), "table", sys.stdout)
    write_rows(run_query(folder, _CALLBACKS), "table", sys.stdout)
    tables = ", ".join(f"{name} {rows:,}" for name, rows in count_rows(folder.snapshot).items())
    seconds = (_now() - began).total_seconds()
    typer.echo(
        f"\nIn {seconds:.0f} s, through Dagster, into {folder.snapshot.relative_to(PROJECT)}: {tables} rows."
    )
    typer.echo(f"Look at it:        {folder.report.relative_to(PROJECT)}, in a browser")
    typer.echo("Ask it something:  IPLUM_DATA=demo-data .venv/bin/iplum sql 'SELECT * FROM usage LIMIT 5'")
    typer.echo("See it in Dagster: make demo-ui")


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def run_standin(*options: str, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the stand-in API beside this process for as long as the block lasts; gives its URL and the process."""
    with _run("standin", "--port", str(port), *options) as process:
        yield _read_url(process), process


@contextmanager
def _run(*command: str, environ: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a command of ours beside this process, and stop it."""
    with subprocess.Popen(  # noqa: S603 our own
        [sys.executable, "-m", "pipelines.cli", *command],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
        env=environ,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def _read_line(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline().strip() if process.stdout else ""


def _read_url(process: subprocess.Popen[str]) -> str:
    return _read_line(process).split()[-1]


def _pushing(url: str, token: str) -> list[str]:
    """Say what the stand-in is to push where: some of it twice, some late, some never."""
    faults = {"--push-duplicates": "0.05", "--push-reorder": "0.1", "--push-drops": "0.02"}
    options = {"--push": f"{url}/callbacks/{token}", "--push-past": str(24 * _PUSHED_DAYS), **faults}
    return [word for option in options.items() for word in option]


def describe_account(url: str, data: Path, *, began: datetime) -> Mapping[str, str]:
    """Describe the invented account as a user would: the variables, all of this process's others with them."""
    unrelated = {name: value for name, value in os.environ.items() if not name.startswith("IPLUM_")}
    return {
        **unrelated,
        "IPLUM_ACCESS_KEY": "STANDINACCESSKEY",
        "IPLUM_SECRET_KEY": "standin-secret",
        "IPLUM_LOGIN_ID": "admin@clinic.example",
        "IPLUM_BASE_URL": url,
        "IPLUM_DATA": str(data),
        "IPLUM_START_DATE": f"{began - timedelta(days=_DAYS):%Y-%m-%d}",
        "IPLUM_MEDIA_HOSTS": url.removeprefix("http://"),
        "IPLUM_REQUESTS_PER_SECOND": "1000",
    }


if __name__ == "__main__":
    main()
