"""Dagster's home: one history for UI, daemon and command line, and the workarounds for its storage.

`python -m pipelines.dagster_home` prepares the folder and prints its path.
"""

import errno
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock
from sqlalchemy.exc import SQLAlchemyError
from yaml import YAMLError

from pipelines.run_locks import fail_dead_runs
from pipelines.settings import (
    HOME,
    Settings,
    SettingsError,
    exclude_loopback,
    find_home,
    load_accounts,
    read_environment,
)
from pipelines.warehouse_folder import open_folder
from warehouse.errors import FolderRefused, StorageFailed, WarehouseError
from warehouse.storage.atomic_files import Modes, create_folder, write_file
from warehouse.storage.ownership import require_own, require_own_tree

# Dagster captures a step's output with programs that print a traceback at Ctrl-C. A command's output is its own.
_OVERRIDES = {
    "telemetry": {"enabled": False},
    "compute_logs": {"module": "dagster.core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"},
}
#: What SQLite says about a damaged file.
_DAMAGE = ("malformed", "not a database")
_DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
# What Dagster and iplum write in Dagster's home.
_HOME_FILES = ("dagster.yaml", "history", "schedules", "storage", "tables.lock")
#: Written by earlier versions; a file that was not changed since is replaced.
_EARLIER = (
    b"""# Written by iplum: no telemetry, no first-run dialog. Your changes are kept.
telemetry:
  enabled: false
nux:
  enabled: false
""",
    b"""# Written by iplum: no telemetry, no first-run dialog, run monitoring. Your changes are kept.
telemetry:
  enabled: false
nux:
  enabled: false
run_monitoring:
  enabled: true
""",
)
_CONFIGURATION = b"""# Written by iplum: no telemetry, no first-run dialog, run monitoring. Your changes are kept.
telemetry:
  enabled: false
nux:
  enabled: false
run_monitoring:
  enabled: true
# The environment wins over .env.
secrets:
  custom:
    module: pipelines.dagster_env_file
    class: EnvFile
"""


def prepare_dagster_home(settings: Settings) -> Path:
    """Create the private folder of Dagster's history with its configuration; raises `StorageFailed`."""
    home = settings.state / "dagster"
    modes = Modes(settings.file_group)
    require_own(settings.state)
    require_own_tree(home, _HOME_FILES)
    create_folder(home, modes)
    configuration = home / "dagster.yaml"
    try:
        is_to_write = not configuration.exists() or configuration.read_bytes() in _EARLIER
    except OSError as error:
        raise FolderRefused.during("read", configuration, error) from error
    if is_to_write:
        write_file(configuration, _CONFIGURATION, modes)
    return home


@contextmanager
def open_instance(settings: Settings, *, ends_dead_runs: bool = True) -> Iterator[dg.DagsterInstance]:
    """Open the history that `iplum ui` shows; raises `StorageFailed`, also if it cannot be written later.

    Runs of killed processes are marked as failed, unless `ends_dead_runs` is false.
    """
    home = prepare_dagster_home(settings)
    with _history_errors(home), ExitStack() as stack:
        # Dagster fails if several processes create its tables at once.
        with _opening_errors(home), FileLock(home / "tables.lock", mode=0o600):
            opened = dg.DagsterInstance.local_temp(str(home), overrides=_OVERRIDES)
            instance = stack.enter_context(opened)
            instance.get_runs(limit=1)
            instance.get_latest_materialization_event(dg.AssetKey("usage"))
            instance.all_instigator_state()
        stack.enter_context(_keep_open(home / "history"))
        if ends_dead_runs:
            fail_dead_runs(instance)
        yield instance


@contextmanager
def _history_errors(home: Path) -> Iterator[None]:
    """Raise errors of the history's databases as `StorageFailed`."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        # SQLAlchemy's text contains the statement and its values.
        words = str(getattr(error, "orig", error))
        is_folder = any((home / name).is_dir() for name in _DATABASES)
        if is_folder or any(sign in words for sign in _DAMAGE):
            raise _build_refusal(home, words) from error
        raise StorageFailed(
            f"cannot write Dagster's history in {home}",
            words,
            "Free some space there or fix its permissions, then run again; no data is lost",
        ) from error


@contextmanager
def _opening_errors(home: Path) -> Iterator[None]:
    """Raise other errors of damaged files in Dagster's home as `StorageFailed`."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_ERRORS:
            raise StorageFailed.during("write Dagster's history in", home, error) from error
        raise _build_refusal(home, f"{error.filename}: {error.strerror}") from error
    except (UnicodeDecodeError, YAMLError, dg.DagsterError) as error:
        raise _build_refusal(home, f"{type(error).__name__}, as from a dagster.yaml that is not valid") from error


def _build_refusal(home: Path, cause: str) -> FolderRefused:
    return FolderRefused(
        f"cannot open Dagster's history in {home}",
        cause,
        f"Move it away (mv {home} {home}.damaged) and run again: the history of runs starts again, and no data is lost",
    )


@contextmanager
def _keep_open(history: Path) -> Iterator[None]:
    """Keep a connection open, so that SQLite does not checkpoint and sync after each event of a run.

    The last connection to close does that, and Dagster opens and closes one for each event.
    """
    with ExitStack() as stack:
        for path in (history / "runs.db", history / "runs" / "index.db"):
            if path.is_file():
                connection = stack.enter_context(closing(sqlite3.connect(path)))
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield


def delete_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Delete a finished run with its files, which Dagster only empties."""
    instance.delete_run(run_id)
    home = Path(instance.root_directory)
    (home / "history" / "runs" / f"{run_id}.db").unlink(missing_ok=True)
    shutil.rmtree(home / "storage" / run_id, ignore_errors=True)


# All commands run in the folder of DAGSTER_HOME: in another folder with a `dagster.yaml`, Dagster warns that it ignores
# that file.
_DEFINITIONS = ("-m", "pipelines.definitions")


def build_ui_command(*options: str, code: Sequence[str] = _DEFINITIONS) -> list[str]:
    """Return the command that starts Dagster's UI and daemon; `code` are the options that name the definitions."""
    return [sys.executable, "-m", "pipelines.dagster_ui", "dev", *code, *options]


def build_webserver_command(*options: str) -> list[str]:
    """Return the command that starts Dagster's UI."""
    return [sys.executable, "-m", "pipelines.dagster_ui", *_DEFINITIONS, *options]


def build_daemon_command() -> list[str]:
    """Return the command that starts Dagster's daemon."""
    return [sys.executable, "-m", "dagster._daemon", "run", *_DEFINITIONS]


def build_ui_environment(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """Add DAGSTER_HOME, and silence the notice that `dg dev`, a separate package, supersedes `dagster dev`."""
    filters = [environ.get("PYTHONWARNINGS"), "ignore:Function `dev_command` is superseded"]
    variables = {**environ, "DAGSTER_HOME": str(home), "PYTHONWARNINGS": ",".join(filter(None, filters))}
    exclude_loopback(variables)
    return variables


def prepare_ui(environ: Mapping[str, str], root: Path) -> tuple[Path, dict[str, str]]:
    """Return Dagster's home and the environment of the UI, for the settings in the folder `root`.

    The environment contains the variables of `.env`, because runs read the keys from it and Dagster looks for `.env`
    in its own folder only. It also names `root`, because Dagster's processes run in another folder.
    """
    variables = read_environment(environ, root)
    settings = load_accounts(variables, root)[0]
    open_folder(settings).require_own_files()
    home = prepare_dagster_home(settings)
    with open_instance(settings):
        pass  # marks runs of killed processes as failed before the daemon counts them
    return home, build_ui_environment({**variables, HOME: str(root)}, home)


if __name__ == "__main__":
    try:
        print(prepare_ui(os.environ, find_home(os.environ).path)[0])  # noqa: T201
    except (SettingsError, WarehouseError) as failure:
        print(f"error: {failure}", file=sys.stderr)  # noqa: T201
        sys.exit(2 if isinstance(failure, SettingsError | FolderRefused) else 1)
