"""What this machine has to offer: the data folder, what it holds, and Dagster's history with its daemon."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.doctor.verdict import State, Verdict
from pipelines.settings import Settings
from pipelines.warehouse_folder import open_folder
from warehouse.errors import StorageFailed
from warehouse.storage.paths import DataFolder

_GIGABYTE = 1 << 30
#: Dagster's daemon says twice a minute that it lives.
_SILENCE = timedelta(minutes=5)
_SCHEDULE = "daily_sync"
_FIRST_SYNC = "not there yet; the first sync makes it"


def examine_folder(settings: Settings) -> Iterator[Verdict]:
    """Say whether the data can be written, who else may, and how much room there is on this machine."""
    folder = open_folder(settings)
    name = "data folder"
    if folder.bucket is not None:
        yield _examine_bucket(folder)
        name = "local copy"
    standing = _find_standing(folder.root)
    try:
        with tempfile.TemporaryFile(dir=standing):
            pass
    except OSError as error:
        failed = str(StorageFailed.during("write to", standing, error))
        yield Verdict(name, State.FAILED, *_split(failed))
        return
    free = f"{shutil.disk_usage(standing).free / _GIGABYTE:,.1f} GB free"
    if standing != folder.root:
        yield Verdict(name, State.OK, f"{folder.root}: {_FIRST_SYNC}; {free}")
    else:
        yield Verdict(name, State.OK, f"{folder.root}: can be written, {free}")
        yield from _examine_mode(folder.root, folder.modes.folder)
    if shutil.disk_usage(standing).free < _GIGABYTE:
        yield Verdict(name, State.WARNING, f"only {free}", "Free some space before a long backfill.")


def _examine_bucket(folder: DataFolder) -> Verdict:
    try:
        folder.check()
    except StorageFailed as error:
        return Verdict("data folder", State.FAILED, *_split(str(error)))
    return Verdict("data folder", State.OK, f"{folder.address}: can be written, read and deleted from")


def examine_data(settings: Settings, now: datetime) -> Verdict:
    """Say up to when the data are there."""
    from warehouse.lake.due_windows import find_latest_pull
    from warehouse.schema.tables import USAGE

    try:
        reach = find_latest_pull(open_folder(settings), USAGE, settings.account)
    except StorageFailed as error:
        return Verdict("data", State.FAILED, *_split(str(error)))
    if reach is None:
        return Verdict("data", State.WARNING, "nothing was pulled yet", "Run 'iplum sync'.")
    found = f"pulled up to {reach:%Y-%m-%d %H:%M} UTC"
    if now - reach > settings.alerts.after:
        return Verdict("data", State.WARNING, found, "Run 'iplum sync', and see that something does each day.")
    return Verdict("data", State.OK, found)


def examine_dagster(accounts: Sequence[Settings], now: datetime) -> Iterator[Verdict]:
    """Say whether Dagster's history can be opened, whether a daemon lives, and whether the daily syncs are on."""
    settings = accounts[0]
    home = settings.state / "dagster"
    if not home.is_dir():
        yield Verdict("Dagster", State.OK, f"its history in {home}: {_FIRST_SYNC}")
        return
    from pipelines.dagster_home import open_instance

    try:
        with open_instance(settings) as instance:
            beats = [beat.timestamp for beat in instance.get_daemon_heartbeats().values()]
            switches = [(state.instigator_name, state.status.value) for state in instance.all_instigator_state()]
    except StorageFailed as error:
        yield Verdict("Dagster", State.FAILED, *_split(str(error)))
        return
    yield Verdict("Dagster", State.OK, f"its history in {home} can be opened")
    yield _judge_daemon(beats, now)
    for settings in accounts:
        yield _judge_schedule(settings, switches)


def _examine_mode(path: Path, allowed: int) -> Iterator[Verdict]:
    mode = path.stat().st_mode & 0o777
    if mode & ~allowed:
        found = f"others may look into {path} (mode {mode:04o})"
        yield Verdict("data folder", State.WARNING, found, f"chmod {allowed:o} {path}")


def _judge_daemon(beats: list[float], now: datetime) -> Verdict:
    remedy = "Keep 'make ui' or the daemon running, or put 'iplum sync' into cron."
    if not beats:
        return Verdict("daemon", State.WARNING, "none has run: nothing is synced by itself", remedy)
    last = datetime.fromtimestamp(max(beats), UTC)
    if now - last > _SILENCE:
        return Verdict("daemon", State.WARNING, f"was last seen at {last:%Y-%m-%d %H:%M} UTC", remedy)
    return Verdict("daemon", State.OK, "is running")


def _judge_schedule(settings: Settings, switches: Sequence[tuple[str, str]]) -> Verdict:
    name = settings.name(_SCHEDULE)
    if {switch for schedule, switch in switches if schedule == name} == {"STOPPED"}:
        return Verdict("daily sync", State.WARNING, f"{name} is switched off", "Switch it on in the UI.")
    return Verdict("daily sync", State.OK, f"{name} is on, at {settings.sync_at:%H:%M} {settings.time_zone}")


def _find_standing(path: Path) -> Path:
    """Give the folder itself, or the nearest one above it that is there."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


def _split(text: str) -> tuple[str, str]:
    """Take an error's text apart, which says the cause and, after a semicolon, the remedy."""
    found, _, remedy = text.partition("; ")
    return found, remedy
