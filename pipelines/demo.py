"""`iplum demo`: the whole pipeline on this machine, with the stand-in API and a separate data folder."""

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import typer
from rich.console import Console

from pipelines.clock import now
from pipelines.commands.progress_bar import ProgressBar
from pipelines.commands.row_formats import write_rows
from pipelines.dagster_home import build_ui_command, build_ui_environment, prepare_dagster_home
from pipelines.iplum_process import list_unrelated_variables, read_line, read_url, run_command, run_standin
from pipelines.runs.archive import archive
from pipelines.runs.sync import sync
from pipelines.settings import DEMO, HOME, PROGRAM, Settings, adopt_environment, load_settings
from pipelines.warehouse_folder import check_origin, open_folder
from warehouse.outputs.query import run_query
from warehouse.snapshot.database import count_rows
from warehouse.storage.atomic_files import write_file
from warehouse.storage.paths import DEMO_MARK

_DAYS = 90
_CALLBACK_DAYS = 10
_PEOPLE = "names.csv"
_MARK = b"""This folder was created by 'iplum demo'. Its records are generated, not those of a phone account.
Without this file, the demo refuses the folder. With it, every other sync does.
"""
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
_QUERY = "sql 'SELECT * FROM usage LIMIT 5'"
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


def run_demo(data: Path, days: int = _DAYS) -> None:
    """Load generated days into the folder `data`, and print a summary; exit with 1 if anything failed."""
    began = now()
    token = secrets.token_urlsafe(16)
    # The receiver sends nothing to the API, and the stand-in needs the receiver's address first.
    receiver = {**describe_account("http://127.0.0.1:1", data, began=began), "IPLUM_CALLBACK_TOKEN": token}
    prepare_folder(load_settings(receiver, data))
    with (
        run_command("receiver", "--port", "0", environ=receiver) as receiver_process,
        run_standin(*_build_standin_options(read_url(receiver_process), token, data)) as (url, standin_process),
    ):
        environ = describe_account(url, data, began=began, days=days)
        _replace_environment(environ)
        settings = load_settings(environ, data)
        typer.echo(f"Loading {days} days of generated history from {url} into {_shorten(data)}")
        typer.echo(f"Callbacks of the last {_CALLBACK_DAYS} days: {read_line(standin_process)}")
        with ProgressBar(Console(stderr=True)) as bar:
            report = sync(settings, environ=environ, progress=bar, clock=now)
            archived = archive(settings, environ=environ, progress=bar, clock=now)
    for failure in (*report.failures, *archived.failures):
        typer.echo(f"error: {failure}", err=True)
    if report.failures or archived.failures:
        sys.exit(1)
    folder = open_folder(settings)
    write_rows(run_query(folder, _SUMMARY), "table", sys.stdout)
    write_rows(run_query(folder, _CALLBACKS), "table", sys.stdout)
    tables = ", ".join(f"{name} {rows:,}" for name, rows in count_rows(folder.snapshot).items())
    seconds = (now() - began).total_seconds()
    typer.echo(f"\nLoaded in {seconds:.0f} s into {_shorten(folder.snapshot)}: {tables} rows.")
    typer.echo(f"Open the report:  {_shorten(folder.report)}")
    typer.echo(f"Query the tables: IPLUM_DATA={data} {PROGRAM} {_QUERY}")
    typer.echo(f"Open Dagster:     {PROGRAM} demo --ui")


def _shorten(path: Path) -> Path:
    """Return a path relative to the current folder if it is in there."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def prepare_folder(settings: Settings) -> None:
    """Create the demo's folder with its mark; raises `SettingsError` and `FolderRefused`."""
    folder = open_folder(settings)
    folder.require_own_files()
    if not (folder.root.is_dir() and any(folder.root.iterdir())):
        write_file(folder.root / DEMO_MARK, _MARK, folder.modes)
    check_origin(settings, folder)


def _replace_environment(environ: Mapping[str, str]) -> None:
    """Remove the variables of a real account from this process, where Dagster reads the keys."""
    os.environ.clear()
    adopt_environment(environ)


def _build_standin_options(url: str, token: str, data: Path) -> list[str]:
    """Return the stand-in's options: callbacks, some sent twice, late or never, and the file with names."""
    faults = {"--push-duplicates": "0.05", "--push-reorder": "0.1", "--push-drops": "0.02"}
    pushed = {"--push": f"{url}/callbacks/{token}", "--push-past": str(24 * _CALLBACK_DAYS)}
    options = {**pushed, **faults, "--people": str(data / _PEOPLE)}
    return [word for option in options.items() for word in option]


def describe_account(url: str, data: Path, *, began: datetime, days: int = _DAYS) -> Mapping[str, str]:
    """Return the environment of the demo account, with this process's unrelated variables.

    Its home is its data folder, so that it finds no file of a real account.
    """
    return {
        **list_unrelated_variables(),
        DEMO: "true",
        HOME: str(data),
        "IPLUM_ACCESS_KEY": "STANDINACCESSKEY",
        "IPLUM_SECRET_KEY": "standin-secret",
        "IPLUM_LOGIN_ID": "admin@clinic.example",
        "IPLUM_BASE_URL": url,
        "IPLUM_DATA": str(data),
        "IPLUM_PEOPLE": str(data / _PEOPLE),
        "IPLUM_START_DATE": f"{began - timedelta(days=days):%Y-%m-%d}",
        "IPLUM_MEDIA_HOSTS": url.removeprefix("http://"),
        "IPLUM_REQUESTS_PER_SECOND": "1000",
    }


def run_ui(data: Path, days: int, port: int) -> None:
    """Run the Dagster UI on the demo's data, with the stand-in, until Ctrl-C."""
    prepare_folder(load_settings(describe_account("http://127.0.0.1:1", data, began=now()), data))
    with run_standin("--people", str(data / _PEOPLE)) as (url, _):
        environ = describe_account(url, data, began=now(), days=days)
        settings = load_settings(environ, data)
        home = prepare_dagster_home(settings)
        command = build_ui_command("--port", str(port))
        with (
            subprocess.Popen(command, cwd=home, env=build_ui_environment(environ, home)) as process,  # noqa: S603 our own
            suppress(KeyboardInterrupt),
        ):
            # A terminal sends Ctrl-C to the UI too, which then ends its own processes.
            process.wait()
        sys.exit(process.returncode)
