"""The assembly: every asset, check, job, schedule, sensor and resource, of one account or of many, in one list.

Belongs here: the list. Does not belong here: what is on it, and the environment. Assembling asks nobody
anything: it needs no key, no folder and no network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TypeAlias

import dagster as dg

from iplum_resource.resource import IPlumResource
from pipelines.assets.archive import CONTENT_ARCHIVE, RECORDING_ARCHIVE, build_archive_assets
from pipelines.assets.callbacks import build_callbacks_asset
from pipelines.assets.catalog import catalogue
from pipelines.assets.recordings import build_recordings_assets
from pipelines.assets.report import build_report_asset
from pipelines.assets.tables import build_tables_assets
from pipelines.assets.usage import build_usage_assets
from pipelines.checks import build_checks
from pipelines.partitions import AUDIT_TAG
from pipelines.progress import Progress, Silence
from pipelines.schedules import build_daily_archive, build_daily_sync, build_weekly_audit
from pipelines.sensors import DRAIN_TAGS, build_callback_inbox, build_stale_snapshot
from pipelines.settings import Settings
from pipelines.storage import open_folder

Job: TypeAlias = "dg.JobDefinition | dg.UnresolvedAssetJobDefinition"


def _now() -> datetime:
    return datetime.now(UTC)


def build_definitions(
    *accounts: Settings,
    clock: Callable[[], datetime] = _now,
    progress: Progress | None = None,
    executor: dg.ExecutorDefinition = dg.in_process_executor,
) -> dg.Definitions:
    """Assemble assets, checks, jobs, schedules and sensors; `clock` gives aware UTC.

    An account alone has assets and jobs without prefix, and each of its runs publishes. Where there are many, each
    has its own under its name and its own limit, and their runs leave publishing, which is of all accounts, to
    the sensor `stale_snapshot`. They share one data folder.
    """
    shared = [build_tables_assets(accounts), build_report_asset(accounts[0])]
    own = [_Account(settings, clock, progress or Silence(), shared) for settings in accounts]
    publish = dg.define_asset_job(
        "publish",
        selection=dg.AssetSelection.assets(*shared),
        description="Bring warehouse.duckdb and the report up to the lake, without asking iPlum.",
    )
    whose = accounts[0].account if len(accounts) == 1 else "all_accounts"
    return dg.Definitions(
        assets=[
            *(catalogue(asset, owner=account.settings.account) for account in own for asset in account.assets),
            *(catalogue(asset, owner=whose) for asset in shared),
        ],
        asset_checks=build_checks(accounts[0]),
        jobs=[*(job for account in own for job in account.jobs), publish],
        schedules=[schedule for account in own for schedule in account.schedules],
        sensors=[
            build_stale_snapshot(accounts, publish, clock=clock),
            build_callback_inbox(accounts, [account.drain for account in own], clock=clock),
        ],
        resources={settings.name("iplum"): build_resource(settings) for settings in accounts},
        executor=executor,
    )


@dataclass(frozen=True)
class _Account:
    """What Dagster is given for one account; `shared` is what all of them publish."""

    settings: Settings
    clock: Callable[[], datetime]
    progress: Progress
    shared: list[dg.AssetsDefinition]

    @property
    def assets(self) -> list[dg.AssetsDefinition]:
        return [*self.pulls, self.callbacks, *self.archives]

    @property
    def jobs(self) -> list[Job]:
        return [self.sync, self.archive, self.audit, self.drain]

    @property
    def schedules(self) -> list[dg.ScheduleDefinition]:
        return [
            build_daily_sync(self.settings, self.sync, clock=self.clock),
            build_daily_archive(self.settings, self.archive, clock=self.clock),
            build_weekly_audit(self.settings, self.audit, clock=self.clock),
        ]

    @cached_property
    def pulls(self) -> list[dg.AssetsDefinition]:
        return [
            build_usage_assets(self.settings, clock=self.clock, progress=self.progress),
            build_recordings_assets(self.settings, clock=self.clock, progress=self.progress),
        ]

    @cached_property
    def archives(self) -> list[dg.AssetsDefinition]:
        return [
            build_archive_assets(archive, self.settings, clock=self.clock, progress=self.progress)
            for archive in (CONTENT_ARCHIVE, RECORDING_ARCHIVE)
        ]

    @cached_property
    def callbacks(self) -> dg.AssetsDefinition:
        return build_callbacks_asset(self.settings, clock=self.clock)

    @cached_property
    def sync(self) -> Job:
        return self._define_job(
            "sync",
            *self.pulls,
            self.callbacks,
            *self._published,
            description="Pull and fold a range of windows, take in what was pushed, publish: what runs each day.",
        )

    @cached_property
    def archive(self) -> Job:
        return self._define_job(
            "archive",
            *self.archives,
            *self._published,
            description="Fetch bodies, attachments, faxes and recording files not yet verified, then publish.",
        )

    @cached_property
    def audit(self) -> Job:
        return self._define_job(
            "audit",
            *self.pulls,
            *self._published,
            description=(
                "Ask for a range of windows once more, each in halves too, tell what differs from what is here, "
                "and publish."
            ),
            tags={AUDIT_TAG: "true"},
        )

    @cached_property
    def drain(self) -> Job:
        return self._define_job(
            "drain",
            self.callbacks,
            *self._published[:1],
            description="Move what was pushed from the inbox to the tables.",
            tags=DRAIN_TAGS,
        )

    @property
    def _published(self) -> list[dg.AssetsDefinition]:
        return [] if self.settings.is_one_of_many else self.shared

    def _define_job(
        self, name: str, *assets: dg.AssetsDefinition, description: str, tags: Mapping[str, str] | None = None
    ) -> Job:
        selection = dg.AssetSelection.assets(*assets)
        return dg.define_asset_job(self.settings.name(name), selection, description=description, tags=tags)


def build_resource(settings: Settings) -> IPlumResource:
    """Make the client's factory: Dagster is told which variables hold the keys, never the keys."""
    return IPlumResource(
        access_key=dg.EnvVar(settings.secrets.access_key),
        secret_key=dg.EnvVar(settings.secrets.secret_key),
        login_id=dg.EnvVar(settings.secrets.login_id),
        base_url=settings.base_url,
        language=settings.language,
        login_case=settings.login_case,
        requests_per_second=settings.requests_per_second,
        limiter_file=str(open_folder(settings).limiter_file(settings.account)),
    )
