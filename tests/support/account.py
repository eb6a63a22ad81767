"""An account at the stand-in with a data folder of its own, and a sync of it as `iplum sync` does one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from iplum_resource.standin.history import History
from iplum_resource.standin.options import Options
from iplum_resource.standin.server import Running
from pipelines.runs.sync import SyncReport, sync
from pipelines.settings import Settings, load_settings
from pipelines.steps.progress import Progress
from pipelines.steps.pull_windows import WindowOutcome
from pipelines.warehouse_folder import open_folder
from warehouse.snapshot.pointer import fetch_snapshot
from warehouse.storage.paths import DataFolder
from warehouse.windows import window_of

DAYS = 24


def now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


@dataclass
class Account:
    """An account with some weeks of history; `environ` describes it as a user would."""

    server: Running
    path: Path
    changes: dict[str, str] = field(default_factory=dict)
    began: datetime = field(default_factory=now)

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables that a user would set."""
        return {
            "IPLUM_ACCESS_KEY": "STANDINACCESSKEY",
            "IPLUM_SECRET_KEY": "standin-secret",
            "IPLUM_LOGIN_ID": "admin@clinic.example",
            "IPLUM_BASE_URL": self.server.url,
            "IPLUM_DATA": str(self.path / "data"),
            "IPLUM_START_DATE": str(self.first_day),
            "IPLUM_REQUESTS_PER_SECOND": "1000",
            **self.changes,
        }

    @property
    def first_day(self) -> date:
        """The first day of history: the start of a window, so that counts are simple."""
        return window_of(self.began - timedelta(days=DAYS)).first_day

    @property
    def settings(self) -> Settings:
        """The settings that follow."""
        return load_settings(self.environ, self.path)

    @property
    def folder(self) -> DataFolder:
        """The data folder."""
        return open_folder(self.settings)

    def play(self, **options: Any) -> None:
        """Have the stand-in play so from now on; its history ends when this account began."""
        self.server.options = Options(**{"now": lambda: self.began, **options})
        self.server.requests.clear()

    def sync(self, *, since: date | None = None, until: date | None = None) -> SyncReport:
        """Sync as the command does."""
        return sync(self.settings, environ=self.environ, since=since, until=until, progress=Progress(), clock=now)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the published tables."""
        with duckdb.connect(str(fetch_snapshot(self.folder)), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    def ids(self, table: str = "usage") -> list[str]:
        """List the published record ids since the first day, sorted: by its end, an older one comes too."""
        since = f"WHERE window_start >= '{self.first_day}'"
        return [record_id for (record_id,) in self.ask(f"SELECT record_id FROM {table} {since} ORDER BY 1")]

    def expected_ids(self, dataset: Any = "usage", **options: Any) -> list[str]:
        """List the record ids that the account really has, sorted, by the stand-in's own history."""
        history = History(Options(**{"now": lambda: self.began, **options}))
        start = datetime.combine(self.first_day, datetime.min.time(), UTC)
        rows = history.list_rows(dataset, start, end=self.began + timedelta(days=1))
        return sorted(json.loads(row)["recordId"] for row in rows)

    def asked(self, path: str) -> int:
        """Count the requests to an endpoint."""
        return sum(request.path == path for request in self.server.requests)


class Watcher(Progress):
    """Progress that remembers what it heard."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, WindowOutcome]] = []

    def finish_window(self, dataset: str, outcome: WindowOutcome) -> None:
        """Remember it."""
        self.outcomes.append((dataset, outcome))
