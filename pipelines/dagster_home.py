"""Dagster's own memory: one history that the UI, the daemon and the command line share.

`python -m pipelines.dagster_home` prints the folder to use as DAGSTER_HOME, ready to be used.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock
from sqlalchemy.exc import SQLAlchemyError

from pipelines.settings import PROJECT, Settings, read_environment
from pipelines.settings.accounts_file import load_accounts
from warehouse.errors import StorageFailed
from warehouse.storage.atomic_files import Modes, create_folder, write_file

_CONFIGURATION = b"""# Written by iplum: no telemetry, no first-run dialog. Yours to change; it is not overwritten.
telemetry:
  enabled: false
nux:
  enabled: false
"""


def prepare_dagster_home(settings: Settings) -> Path:
    """Make the folder of Dagster's history, private, with its configuration; raises `StorageFailed`."""
    home = settings.state / "dagster"
    modes = Modes(settings.file_group)
    create_folder(home, modes)
    configuration = home / "dagster.yaml"
    if not configuration.exists():
        write_file(configuration, _CONFIGURATION, modes)
    return home


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Lend the history that `make ui` shows; raises `StorageFailed`, also where it can't be written later on."""
    home = prepare_dagster_home(settings)
    try:
        with ExitStack() as stack:
            # Several processes that make Dagster's tables at once would stumble over each other.
            with FileLock(home / "tables.lock", mode=0o600):
                opened = dg.DagsterInstance.local_temp(str(home), overrides={"telemetry": {"enabled": False}})
                instance = stack.enter_context(opened)
                instance.get_runs(limit=1)
                instance.get_latest_materialization_event(dg.AssetKey("usage"))
            stack.enter_context(_hold_open(home / "history"))
            yield instance
    except (SQLAlchemyError, sqlite3.Error) as error:
        # SQLAlchemy's own text quotes the statement and its values over many lines.
        words = str(getattr(error, "orig", error))
        raise StorageFailed(
            f"can't write Dagster's history in {home} ({words}); free some space there or mend its permissions, "
            "then run again; nothing of the data is lost"
        ) from error


@contextmanager
def _hold_open(history: Path) -> Iterator[None]:
    """Keep SQLite from folding its write-ahead log away, and syncing the disk for it, at each of a run's events.

    Whoever closes a database last does that, and Dagster opens and closes one for each event.
    """
    with ExitStack() as stack:
        for path in (history / "runs.db", history / "runs" / "index.db"):
            if path.is_file():
                connection = stack.enter_context(closing(sqlite3.connect(path)))
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield


def forget_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Take a finished run out of the history, with its files: Dagster empties them and lets them lie."""
    instance.delete_run(run_id)
    home = Path(instance.root_directory)
    (home / "history" / "runs" / f"{run_id}.db").unlink(missing_ok=True)
    shutil.rmtree(home / "storage" / run_id, ignore_errors=True)


def main() -> None:
    """Print the folder to use as DAGSTER_HOME."""
    print(prepare_dagster_home(load_accounts(read_environment(os.environ), PROJECT)[0]))  # noqa: T201


if __name__ == "__main__":
    main()
