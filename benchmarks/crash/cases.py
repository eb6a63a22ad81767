"""The commands that are killed, and the data folder that each starts with."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TypeVar

from iplum_resource.callbacks import parse_callback
from pipelines.runs.archive import ArchiveReport, archive
from pipelines.runs.sync import SyncReport, sync
from pipelines.settings import Settings, load_settings
from pipelines.steps.drain_inbox import Drain
from pipelines.steps.progress import Progress
from pipelines.warehouse_folder import build_mart_settings, open_folder, open_inbox
from warehouse.outputs.query import run_query
from warehouse.raw.inbox import Event
from warehouse.snapshot.publish import publish

_SINCE, _MIDDLE, _UNTIL = (datetime.now(UTC).date() - timedelta(days=ago) for ago in (40, 30, 15))
_EVENTS = 600
_Report = TypeVar("_Report", SyncReport, ArchiveReport)


@dataclass(frozen=True)
class Account:
    """An account on the stand-in with its own data folder."""

    url: str
    path: Path

    @property
    def environ(self) -> dict[str, str]:
        """The variables that a user would set."""
        return {
            "IPLUM_ACCESS_KEY": "STANDINACCESSKEY",
            "IPLUM_SECRET_KEY": "standin-secret",
            "IPLUM_LOGIN_ID": "admin@clinic.example",
            "IPLUM_BASE_URL": self.url,
            "IPLUM_DATA": str(self.path),
            "IPLUM_START_DATE": str(_SINCE),
            "IPLUM_REQUESTS_PER_SECOND": "1000",
            "IPLUM_MEDIA_HOSTS": self.url.removeprefix("http://"),
            "IPLUM_KEEP_CONTENT": "true",
        }

    @property
    def settings(self) -> Settings:
        """The settings from these variables."""
        return load_settings(self.environ, self.path)


def _now() -> datetime:
    return datetime.now(UTC)


def sync_all(account: Account) -> None:
    """Sync some weeks through Dagster."""
    _raise_failures(_through_dagster(sync, account).failures)


def archive_all(account: Account) -> None:
    """Download texts, attachments and recordings through Dagster."""
    _raise_failures(_through_dagster(archive, account).failures)


def _through_dagster(command: Callable[..., _Report], account: Account) -> _Report:
    environ = account.environ
    return command(account.settings, environ=environ, since=_SINCE, until=_UNTIL, progress=Progress(), clock=_now)


def publish_all(account: Account) -> None:
    """Fold windows that are not folded yet, and publish."""
    publish(open_folder(account.settings), build_mart_settings([account.settings]))


def drain_all(account: Account) -> None:
    """Drain the inbox, and publish."""
    settings = account.settings
    folder = open_folder(settings)
    with open_inbox(settings, folder) as inbox:
        Drain(folder=folder, account=settings.account, inbox=inbox, clock=_now).run()
    publish_all(account)


def _raise_failures(failures: Sequence[str]) -> None:
    if failures:
        raise RuntimeError("; ".join(failures))


def start_empty(account: Account) -> None:
    """Start with an empty folder."""
    shutil.rmtree(account.path)
    account.path.mkdir()


def start_synced(account: Account) -> None:
    """Start with the synced folder, unchanged."""


def start_behind(account: Account) -> None:
    """Start with a snapshot of the first ten days only, and without every second lake file."""
    part = Account(account.url, account.path.parent / "part")
    shutil.copytree(account.path / "raw", part.path / "raw")
    for folder in part.path.glob("raw/*/*/window_start=*"):
        if folder.name > f"window_start={_MIDDLE}":
            shutil.rmtree(folder)
    publish_all(part)
    (part.path / "warehouse.duckdb").replace(account.path / "warehouse.duckdb")
    for path in sorted((account.path / "lake").rglob("part-0.parquet"))[::2]:
        path.unlink()


def start_with_callbacks(account: Account) -> None:
    """Start with an inbox with callbacks of known and unknown records."""
    settings = account.settings
    known = [name for (name,) in run_query(open_folder(settings), "SELECT record_id FROM usage ORDER BY 1").rows]
    with open_inbox(settings, open_folder(settings)) as inbox:
        for number in range(_EVENTS):
            record_id = known[number % len(known)] if number % 3 == 0 else f"pushed-{number % 400}"
            inbox.append([_build_event(record_id, number)])


def _build_event(record_id: str, number: int) -> Event:
    received_at = datetime.combine(_SINCE, time(), UTC) + timedelta(hours=number % 500)
    record = {
        "recordId": record_id,
        "usage": "text",
        "type": "external",
        "direction": "in",
        "startTimeUTC": f"{received_at:%Y-%m-%dT%H:%M:%SZ}",
        "content": f"text {number}",
    }
    (pushed,) = parse_callback(json.dumps(record).encode(), "usage")
    return Event(dataset="usage_callbacks", received_at=received_at, body=pushed.body, content=pushed.content)


@dataclass(frozen=True)
class Case:
    """A command that is killed, and the function that prepares a synced folder for it."""

    prepare: Callable[[Account], None]
    run: Callable[[Account], None]


CASES = {
    "sync": Case(start_empty, sync_all),
    "publish": Case(start_behind, publish_all),
    "archive": Case(start_synced, archive_all),
    "drain": Case(start_with_callbacks, drain_all),
}
