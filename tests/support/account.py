"""An iPlum account on the stand-in, with its own data folder and settings."""

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from iplum_resource.standin.history import History
from iplum_resource.standin.options import Options
from iplum_resource.standin.server import Running
from pipelines.runs.archive import ArchiveReport, archive
from pipelines.runs.sync import SyncReport, sync
from pipelines.settings import Settings, load_settings
from pipelines.steps.progress import Progress
from pipelines.steps.pull_windows import WindowOutcome
from pipelines.warehouse_folder import build_mart_settings, open_folder
from warehouse.snapshot.pointer import fetch_snapshot
from warehouse.snapshot.publish import publish
from warehouse.storage.paths import DataFolder
from warehouse.windows import window_of

DAYS = 24


def now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


def build_clock(start: datetime) -> Callable[[], datetime]:
    """Return a clock that advances a millisecond per call, so that it passes midnight in no test."""
    ticks = count()
    return lambda: start + timedelta(milliseconds=next(ticks))


@dataclass
class Account:
    """An account with DAYS days of history.

    Attributes:
        server: The stand-in that serves the account.
        path: The folder of the test; the data folder is `path/data`.
        changes: Environment variables that are added to or replace the defaults in `environ`.
        created_at: End of the account's history.
        clock: Clock of `sync`, `pull` and `archive`. Commands read the clock of the machine.
    """

    server: Running
    path: Path
    changes: dict[str, str] = field(default_factory=dict)
    created_at: datetime = field(default_factory=now)
    clock: Callable[[], datetime] = now

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment variables of the account."""
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
        """The first day of history, which is the first day of a window."""
        return window_of(self.created_at - timedelta(days=DAYS)).first_day

    @property
    def settings(self) -> Settings:
        """The settings loaded from `environ`."""
        return load_settings(self.environ, self.path)

    @property
    def folder(self) -> DataFolder:
        """The data folder."""
        return open_folder(self.settings)

    def set_options(self, **options: Any) -> None:
        """Set the options of the stand-in and clear its list of requests."""
        self.server.options = Options(**{"now": lambda: self.created_at, **options})
        self.server.requests.clear()

    def sync(
        self, *, since: date | None = None, until: date | None = None, publishes: bool = True, in_memory: bool = True
    ) -> SyncReport:
        """Run a sync as `iplum sync` does, with Dagster's history in memory or in the data folder."""
        with dg.DagsterInstance.ephemeral() if in_memory else nullcontext() as instance:
            return sync(
                self.settings,
                environ=self.environ,
                since=since,
                until=until,
                progress=Progress(),
                clock=self.clock,
                instance=instance,
                publishes=publishes,
            )

    def pull(self, *, since: date | None = None, until: date | None = None) -> SyncReport:
        """Run a sync that publishes only the tables, without the report and Dagster's checks."""
        report = self.sync(since=since, until=until, publishes=False)
        report.rows = publish(self.folder, build_mart_settings([self.settings])).rows
        return report

    def archive(
        self, *, since: date | None = None, clock: Callable[[], datetime] | None = None, publishes: bool = False
    ) -> ArchiveReport:
        """Run an archive run as `iplum archive` does, with the same difference as `pull`, unless it `publishes`."""
        with dg.DagsterInstance.ephemeral() as history:
            report = archive(
                self.settings,
                environ=self.environ,
                since=since,
                progress=Progress(),
                clock=clock or self.clock,
                instance=history,
                publishes=publishes,
            )
        if not publishes:
            publish(self.folder, build_mart_settings([self.settings]))
        return report

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query on the published snapshot."""
        with duckdb.connect(str(fetch_snapshot(self.folder)), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    def ids(self, table: str = "usage") -> list[str]:
        """List the published record IDs, sorted.

        Excludes older windows: the stand-in also returns records that only end in the requested range.
        """
        since = f"WHERE window_start >= '{self.first_day}'"
        return [record_id for (record_id,) in self.query(f"SELECT record_id FROM {table} {since} ORDER BY 1")]

    def expected_ids(self, dataset: Any = "usage", **options: Any) -> list[str]:
        """List the record IDs in the stand-in's history, sorted."""
        history = History(Options(**{"now": lambda: self.created_at, **options}))
        start = datetime.combine(self.first_day, datetime.min.time(), UTC)
        rows = history.list_rows(dataset, start, end=self.created_at + timedelta(days=1))
        return sorted(json.loads(row)["recordId"] for row in rows)

    def count_requests(self, path: str) -> int:
        """Count the requests to an endpoint."""
        return sum(request.path == path for request in self.server.requests)


class RecordedProgress(Progress):
    """Progress that records the outcome of each window."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, WindowOutcome]] = []

    def finish_window(self, dataset: str, outcome: WindowOutcome) -> None:
        """Record the outcome."""
        self.outcomes.append((dataset, outcome))
