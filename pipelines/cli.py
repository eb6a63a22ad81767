"""The `iplum` command: its subcommands, error lines and exit codes.

Exit codes: 0 success; 2 wrong usage or configuration, found before any request; 1 an error of the API, network or
disk; 130 stopped by Ctrl-C, SIGTERM or SIGHUP.
"""

import difflib
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Annotated, Any

import typer

from iplum_resource.errors import IPlumError
from pipelines.clock import now
from pipelines.commands.archive import archive
from pipelines.commands.demo import demo
from pipelines.commands.doctor import doctor
from pipelines.commands.export import export
from pipelines.commands.fetch import fetch
from pipelines.commands.hold import hold
from pipelines.commands.init import init
from pipelines.commands.people import people
from pipelines.commands.publish import publish
from pipelines.commands.receiver import receiver
from pipelines.commands.report import report
from pipelines.commands.retention import retention
from pipelines.commands.seal import seal
from pipelines.commands.sql import sql
from pipelines.commands.standin import standin
from pipelines.commands.sync import sync
from pipelines.commands.ui import ui
from pipelines.commands.verify import verify
from pipelines.settings import SHARED, SettingsError
from warehouse.errors import FolderRefused, WarehouseError
from warehouse.outputs.escaping import escape_for_terminal

_HELP = "Load the calls, texts, faxes and recordings of an iPlum account into a DuckDB database."
_EPILOG = f"Documentation: README.md and docs/ in {SHARED}."

app = typer.Typer(
    name="iplum",
    help=_HELP,
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _add_commands(*commands: Callable[..., None]) -> None:
    for command in commands:
        app.command()(command)


_add_commands(init, doctor, sync, archive, publish, verify, seal, export)
_add_commands(retention, report, receiver, sql, fetch, standin, ui, demo)
app.add_typer(hold)
app.add_typer(people)

_INTERRUPTED = 130
_RESEND_AFTER = 0.05
_LOGGED = {"sync", "archive", "publish", "verify", "retention"}


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"iplum-warehouse {version('iplum-warehouse')}")
        raise typer.Exit


@app.callback()
def _callback(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Declare the options that precede a command."""


def main() -> None:
    """Run the command line, and turn every error into one line and an exit code."""
    _open_closed_streams()
    arguments = sys.argv[1:]
    if "--debug" not in arguments:
        sys.excepthook = _print_bug
    sys.unraisablehook = _resend_interrupt
    # SIGTERM, as sent by cron, systemd or `kill`, ends a command like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # So does SIGHUP, sent when a terminal is closed, unless `nohup` has set it to be ignored. It is passed on as
    # SIGTERM, because Dagster handles SIGTERM and SIGINT only.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _stop_without_terminal)
    _show_start(arguments)
    code = run(arguments)
    if code == _INTERRUPTED:
        # Threads that wait for a response would keep the process alive; all their writes are atomic.
        with suppress(OSError):
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _open_closed_streams() -> None:
    """Point standard streams that were closed before the start to the null device.

    Python sets such a stream to None, and the next opened file, such as a lock, would get its descriptor.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def _resend_interrupt(unraisable: Any) -> None:
    """Send Ctrl-C again if it arrived in a destructor, where Python prints a traceback and continues."""
    if isinstance(unraisable.exc_value, Exception | GeneratorExit | None):
        sys.__unraisablehook__(unraisable)
    else:
        threading.Timer(_RESEND_AFTER, os.kill, (os.getpid(), signal.SIGINT)).start()


def _stop_without_terminal(_number: int, _frame: FrameType | None) -> None:
    """End the command like SIGTERM; if its terminal was closed, drop what it still writes, which would fail."""
    for descriptor in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, descriptor)
                os.close(nothing)
    signal.raise_signal(signal.SIGTERM)


def _show_start(arguments: Sequence[str]) -> None:
    """Date the log of an unattended run, such as cron's, so that each error has a date."""
    name = next((argument for argument in arguments if argument != "--debug"), "")
    if name in _LOGGED and "--help" not in arguments and not sys.stderr.isatty():
        typer.echo(f"{now():%Y-%m-%d %H:%M:%SZ} iplum {name}", err=True)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; `--debug`, before or after the command, shows tracebacks."""
    debug = "--debug" in arguments
    try:
        # Calling `app` would replace the exception hook set in `main`.
        command = typer.main.get_command(app)
        code = command.main([a for a in arguments if a != "--debug"], "iplum", standalone_mode=False)
    except typer.Abort as error:
        # Ctrl-C or Ctrl-D at a prompt.
        typer.echo(f"\nStopped. {error}".rstrip(), err=True)
        return _INTERRUPTED
    except typer.TyperException as error:
        # Without a command, the help has been printed, and the error has no text.
        if error.format_message():
            typer.echo(f"error: {_describe_wrong_usage(error)}", err=True)
        return 2
    except BrokenPipeError:
        return 0
    except MemoryError:
        typer.echo("error: not enough memory. Free some, or set a lower IPLUM_CONCURRENCY, then run again.", err=True)
        return 1
    except (SettingsError, WarehouseError, IPlumError, OSError) as error:
        if debug:
            raise
        typer.echo(f"error: {escape_for_terminal(str(error))}", err=True)
        return 2 if isinstance(error, SettingsError | FolderRefused) else 1
    if code == _INTERRUPTED:
        with suppress(OSError):  # the terminal may be closed
            typer.echo("Stopped. Finished work is kept; the same command continues from there.", err=True)
    return code or 0


def _describe_wrong_usage(error: typer.TyperException) -> str:
    """Return the problem, the closest option if one was mistyped, and the command whose help explains it."""
    problem = error.format_message().rstrip(".")
    if similar := getattr(error, "possibilities", None):
        typed = error.message.rpartition(" ")[2]
        (closest,) = difflib.get_close_matches(typed, similar, n=1, cutoff=0)
        problem = f"{error.message}. Did you mean '{closest}'?"
    context = getattr(error, "ctx", None)
    command = "iplum" if context is None else context.command_path
    return f"{problem}{'' if problem.endswith('?') else '.'} See '{command} --help'"


def _print_bug(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:  # noqa: ARG001
    typer.echo(f"error: {kind.__name__} in iplum itself. Run it again with --debug and report the output.", err=True)


if __name__ == "__main__":
    main()
