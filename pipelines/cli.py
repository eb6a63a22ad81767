"""The `iplum` command: what an administrator types, in one voice.

Belongs here: commands, options, texts and exit codes: 0 done, 2 wrong usage or configuration (found before any
request), 1 whatever the API, the network or the disk refuses. Does not belong here: the work. What a command
needs is imported when it runs, since `--help` must not wait for Dagster and pandas.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from iplum_resource.errors import IPlumError
from pipelines.settings import (
    PROJECT,
    Settings,
    SettingsError,
    adopt_environment,
    load_settings,
    read_day,
    read_environment,
)
from pipelines.standin_command import standin
from warehouse.errors import WarehouseError

if TYPE_CHECKING:
    from pipelines.sync import SyncReport

app = typer.Typer(
    name="iplum",
    help="Bring an iPlum phone account into a warehouse that you can trust and query.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(standin)

_INTERRUPTED = 130

Since = Annotated[str | None, typer.Option(metavar="DAY", help="First day, UTC, as 2024-01-31; included.")]
Until = Annotated[str | None, typer.Option(metavar="DAY", help="Day to stop before, UTC; excluded.")]


@app.callback()
def _begin(
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
) -> None:
    """Bring an iPlum phone account into a warehouse that you can trust and query."""


@app.command()
def sync(since: Since = None, until: Until = None) -> None:
    """Pull what is new, missing or due, and publish it.

    Without days it does what the daily schedule does: the window still open, the look-back, and every hole since
    IPLUM_START_DATE. With days, all windows that overlap them are pulled again.

    Examples: `iplum sync` · `iplum sync --since 2024-03-01 --until 2024-04-01`
    """
    settings, environ = _read_settings()
    first, last = _read_day(since, "--since"), _read_day(until, "--until")
    from pipelines.bar import ProgressBar
    from pipelines.sync import sync as run_sync

    with ProgressBar(Console(stderr=True)) as bar:
        report = run_sync(settings, environ, since=first, until=last, progress=bar, clock=_now)
    _show_report(report, settings)


@app.command()
def archive(since: Since = None, until: Until = None) -> None:
    """Fetch text bodies, attachments, faxes and recording files that are not verified yet, then publish.

    Stopped at any time, the next call goes on from there. Example: `iplum archive --since 2024-03-01`
    """
    settings, environ = _read_settings()
    first, last = _read_day(since, "--since"), _read_day(until, "--until")
    from pipelines.archive import archive as run_archive
    from pipelines.bar import ProgressBar

    with ProgressBar(Console(stderr=True)) as bar:
        report = run_archive(settings, environ, since=first, until=last, progress=bar, clock=_now)
    for table, status, records, size in report.holdings:
        typer.echo(f"{table:<16}{status:<10}{records:>10,} records {size:>16,} bytes")
    if not report.holdings and not report.failures:
        typer.echo("nothing to fetch: 'iplum sync' first")
    _end(report.failures)


@app.command()
def publish(
    full: Annotated[bool, typer.Option("--full", help="Rebuild it from nothing.")] = False,
) -> None:
    """Bring `warehouse.duckdb` up to the lake, without asking iPlum.

    Examples: `iplum publish` · `iplum publish --full`
    """
    settings, _ = _read_settings()
    from pipelines.storage import choose_marts, open_folder
    from warehouse.publish import publish as run_publish

    folder = open_folder(settings)
    publication = run_publish(folder, choose_marts(settings), full=full)
    for table, rows in publication.rows.items():
        typer.echo(f"{table:<12}{rows:>12,} rows  {publication.replaced[table]:>6} windows replaced")
    typer.echo(f"published {folder.snapshot}")


@app.command()
def verify(since: Since = None, until: Until = None) -> None:
    """Prove what is kept: every file and body against its hash, the lake against raw, the tables against the lake.

    Prints a line for each difference and exits with 1 when there is one. Nothing is changed.

    Example: `iplum verify --since 2024-01-01 --until 2024-02-01`
    """
    settings, _ = _read_settings()
    first, last = _read_day(since, "--since"), _read_day(until, "--until")
    from pipelines.storage import choose_marts, open_folder
    from warehouse.verification import Verification

    sizes: list[int] = []
    verification = Verification(
        folder=open_folder(settings),
        settings=choose_marts(settings),
        since=_begin_day(first),
        until=_begin_day(last),
        on_file=sizes.append,
    )
    differences = [str(difference) for difference in verification.find_differences()]
    typer.echo(f"{len(sizes):,} files hashed, {sum(sizes):,} bytes; {len(differences):,} differences")
    _end(differences)


@app.command()
def export(
    folder: Annotated[str, typer.Argument(help="The folder to write; it must not be there yet.")],
    since: Annotated[str, typer.Option(metavar="DAY", help="First day, UTC; included.")],
    until: Annotated[str, typer.Option(metavar="DAY", help="Day to stop before, UTC; excluded.")],
    user: Annotated[str | None, typer.Option(help="Of this iPlum user alone.")] = None,
    counterparty: Annotated[str | None, typer.Option(help="With this number or login alone.")] = None,
) -> None:
    """Write an extract for whoever asks: records, bodies and files, with a manifest that proves them.

    `cd FOLDER && sha256sum -c SHA256SUMS` checks it anywhere.

    Example: `iplum export --since 2024-01-01 --until 2024-04-01 --user ann@clinic.example case-17`
    """
    settings, _ = _read_settings()
    first, last = _begin_day(read_day(since, "--since")), _begin_day(read_day(until, "--until"))
    if first is None or last is None or last <= first:
        raise SettingsError(f"--until {until} leaves nothing after --since {since}: it is excluded")
    from pipelines.storage import open_folder
    from warehouse.export import Selection
    from warehouse.export import export as write_extract

    selection = Selection(since=first, until=last, user=user, counterparty=counterparty)
    extract = write_extract(open_folder(settings), selection, Path(folder))
    for part, rows in extract.rows.items():
        typer.echo(f"{part:<12}{rows:>10,} rows")
    typer.echo(f"{'files':<12}{extract.files:>10,}")
    if extract.missing:
        typer.echo(
            f"warning: {extract.missing:,} bodies or files are not in the archive: 'iplum archive'", err=True
        )
    typer.echo(f"written to {folder}; check it with: cd {folder} && sha256sum -c SHA256SUMS")


@app.command()
def report(
    output: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where to; else report.html in IPLUM_DATA.")
    ] = None,
) -> None:
    """Write the report of what is published: one HTML file that opens anywhere, without a network.

    It holds logins and numbers. Example: `iplum report --output ~/iplum.html`
    """
    settings, _ = _read_settings()
    from pipelines.storage import open_folder
    from warehouse.report import write_report

    path = write_report(open_folder(settings), None if output is None else Path(output).expanduser().absolute())
    typer.echo(f"written to {path}")


@app.command()
def receiver(
    host: Annotated[str, typer.Option(help="Address to listen on; TLS is a proxy's work.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8088,
) -> None:
    """Receive what iPlum pushes: on the disk before it is acknowledged, in the tables within a minute.

    Its paths are /callbacks/IPLUM_CALLBACK_TOKEN/usage and …/recordings; /healthz tells whether it can keep
    events. It stops with Ctrl-C. Example: `iplum receiver --port 8088`
    """
    settings, environ = _read_settings()
    from pipelines.receiver_command import serve

    serve(settings, environ, host=host, port=port, clock=_now)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT.")],
    form: Annotated[
        Literal["table", "csv", "json"], typer.Option("--format", help="How to write the rows.")
    ] = "table",
) -> None:
    """Ask the published tables; nothing can be changed by it.

    Example: `iplum sql "SELECT channel, count(*) FROM usage GROUP BY 1"`
    """
    settings, _ = _read_settings()
    from pipelines.rows import write_rows
    from pipelines.storage import open_folder
    from warehouse.query import run_query

    write_rows(run_query(open_folder(settings), query), form, sys.stdout)


def main() -> None:
    """Run the command line and turn every error into one clear line and an exit code."""
    arguments = sys.argv[1:]
    if "--debug" not in arguments:
        sys.excepthook = _report_bug
    code = run(arguments)
    if code == _INTERRUPTED:
        # Threads that wait for an answer would keep the command from ending; all that they write is atomic.
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command and give its exit code; with `--debug`, anywhere, an error's traceback is let through."""
    debug = "--debug" in arguments
    try:
        # Not by calling `app`, which puts a hook of its own in the place of the one above.
        command = typer.main.get_command(app)
        code = command.main([a for a in arguments if a != "--debug"], "iplum", standalone_mode=False)
    except typer.TyperException as error:
        typer.echo(f"error: {error}; see 'iplum {' '.join(arguments[:1])} --help'", err=True)
        return 2
    except BrokenPipeError:
        return 0
    except (SettingsError, WarehouseError, IPlumError, OSError) as error:
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        return 2 if isinstance(error, SettingsError) else 1
    if code == _INTERRUPTED:
        typer.echo("stopped; what was finished is kept, and the same command goes on from there", err=True)
    return code or 0


def _report_bug(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:  # noqa: ARG001
    typer.echo(
        f"error: {kind.__name__} in iplum itself; run it again with --debug and report what it shows", err=True
    )


def _read_settings() -> tuple[Settings, dict[str, str]]:
    environ = read_environment(os.environ, PROJECT)
    adopt_environment(environ)
    return load_settings(environ, PROJECT), environ


def _read_day(text: str | None, name: str) -> date | None:
    return None if text is None else read_day(text, name)


def _begin_day(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)


def _now() -> datetime:
    return datetime.now(UTC)


def _show_report(report: SyncReport, settings: Settings) -> None:
    for name, tally in report.datasets.items():
        if tally.refused:
            typer.echo(
                f"warning: iplum refuses {name} for this account (403): it needs a call recording plan", err=True
            )
        typer.echo(
            f"{name:<12}{tally.windows:>5} windows {tally.new:>9,} new {tally.changed:>9,} changed"
            f"{report.rows.get(name, 0):>12,} rows in all"
        )
    if not report.datasets and not report.failures:
        typer.echo("nothing is due")
    _end(report.failures)
    typer.echo(f"published {settings.data / 'warehouse.duckdb'}")


def _end(failures: Sequence[str]) -> None:
    for failure in failures:
        typer.echo(f"error: {failure}", err=True)
    if failures:
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
