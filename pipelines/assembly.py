"""The assembly: every asset, check, job, schedule, sensor and resource of one account, in one list.

Belongs here: the list. Does not belong here: what is on it, and the environment. Assembling asks nobody
anything: it needs no key, no folder and no network.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg

from iplum_resource.resource import IPlumResource
from pipelines.assets.archive import CONTENT_ARCHIVE, RECORDING_ARCHIVE, build_archive_assets
from pipelines.assets.callbacks import build_callbacks_asset
from pipelines.assets.recordings import build_recordings_assets
from pipelines.assets.report import build_report_asset
from pipelines.assets.tables import build_tables_assets
from pipelines.assets.usage import build_usage_assets
from pipelines.checks import build_checks
from pipelines.progress import Progress, Silence
from pipelines.schedules import build_daily_archive, build_daily_sync
from pipelines.sensors import build_callback_inbox, build_stale_snapshot
from pipelines.settings import Settings
from pipelines.storage import open_folder


def _now() -> datetime:
    return datetime.now(UTC)


def build_definitions(
    settings: Settings, *, clock: Callable[[], datetime] = _now, progress: Progress | None = None
) -> dg.Definitions:
    """Assemble assets, checks, jobs, schedule and sensor for one account; `clock` gives aware UTC."""
    watcher = progress or Silence()
    pulls = [
        build_usage_assets(settings, clock=clock, progress=watcher),
        build_recordings_assets(settings, clock=clock, progress=watcher),
    ]
    archives = [
        build_archive_assets(archive, settings, clock=clock, progress=watcher)
        for archive in (CONTENT_ARCHIVE, RECORDING_ARCHIVE)
    ]
    callbacks = build_callbacks_asset(settings, clock=clock)
    tables = build_tables_assets(settings)
    report = build_report_asset(settings)
    sync = dg.define_asset_job(
        "sync",
        selection=dg.AssetSelection.assets(*pulls, callbacks, tables, report),
        description="Pull and fold a range of windows, take in what was pushed, publish: what runs each day.",
    )
    drain = dg.define_asset_job(
        "drain",
        selection=dg.AssetSelection.assets(callbacks, tables),
        description="Move what was pushed from the inbox to the tables.",
    )
    publish = dg.define_asset_job(
        "publish",
        selection=dg.AssetSelection.assets(tables, report),
        description="Bring warehouse.duckdb and the report up to the lake, without asking iPlum.",
    )
    archive = dg.define_asset_job(
        "archive",
        selection=dg.AssetSelection.assets(*archives, tables),
        description="Fetch bodies, attachments, faxes and recording files not yet verified, then publish.",
    )
    return dg.Definitions(
        assets=[*pulls, callbacks, *archives, tables, report],
        asset_checks=build_checks(settings),
        jobs=[sync, archive, drain, publish],
        schedules=[
            build_daily_sync(settings, sync, clock=clock),
            build_daily_archive(settings, archive, clock=clock),
        ],
        sensors=[
            build_stale_snapshot(settings, publish, clock=clock),
            build_callback_inbox(settings, drain, clock=clock),
        ],
        resources={"iplum": build_resource(settings)},
        executor=dg.in_process_executor,
    )


def build_resource(settings: Settings) -> IPlumResource:
    """Make the client's factory: Dagster is told which variables hold the keys, never the keys."""
    return IPlumResource(
        access_key=dg.EnvVar("IPLUM_ACCESS_KEY"),
        secret_key=dg.EnvVar("IPLUM_SECRET_KEY"),
        login_id=dg.EnvVar("IPLUM_LOGIN_ID"),
        base_url=settings.base_url,
        language=settings.language,
        login_case=settings.login_case,
        requests_per_second=settings.requests_per_second,
        limiter_file=str(open_folder(settings).limiter_file(settings.account)),
    )
