"""Assembly of all definitions: assets, checks, jobs, schedules, sensors and resources of all accounts."""

import dagster as dg

from iplum_resource.resource import IPlumResource
from pipelines.clock import Clock, now
from pipelines.defs.alert_sensors import build_audit_alert, build_data_alert, build_failure_alert, build_freshness_alert
from pipelines.defs.asset_checks import build_checks
from pipelines.defs.assets.archive import ARCHIVES, build_archive_assets
from pipelines.defs.assets.callbacks import build_callbacks_asset
from pipelines.defs.assets.catalog import add_catalog_entries
from pipelines.defs.assets.datasets import DATASETS
from pipelines.defs.assets.evidence import build_evidence_asset
from pipelines.defs.assets.report import build_report_asset
from pipelines.defs.assets.warehouse_tables import build_tables_assets
from pipelines.defs.assets.window_assets import build_window_assets
from pipelines.defs.jobs import DRAIN, JOBS
from pipelines.defs.schedules import build_schedules, build_seal_schedule
from pipelines.defs.sensors import build_callback_inbox, build_stale_snapshot
from pipelines.run_locks import locking_executor
from pipelines.settings import Settings
from pipelines.steps.progress import Progress
from pipelines.warehouse_folder import open_folder

_SHOW_NOTHING = Progress()


def build_definitions(
    *accounts: Settings,
    clock: Clock = now,
    progress: Progress = _SHOW_NOTHING,
    executor: dg.ExecutorDefinition = locking_executor,
) -> dg.Definitions:
    """Build the definitions; `clock` returns aware UTC.

    With a single account, assets and jobs have no prefix, and each run publishes. With several, each has its own
    assets and rate limit, and the sensor `stale_snapshot` publishes for all. They share one data folder.
    """
    tables, report = build_tables_assets(accounts), build_report_asset(accounts[0])
    account_assets = [
        add_catalog_entries(assets, owner=settings.account)
        for settings in accounts
        for assets in _build_account(settings, clock, progress)
    ]
    jobs = {name: made for job in JOBS for name, made in job.define(accounts, tables=tables, report=report).items()}
    publish = dg.define_asset_job(
        "publish",
        selection=dg.AssetSelection.assets(tables, report),
        description="Update warehouse.duckdb and the report from the lake, without requests to iPlum.",
    )
    evidence = build_evidence_asset(accounts, clock=clock)
    seal = dg.define_asset_job(
        "seal", selection=dg.AssetSelection.assets(evidence), description="Add an entry to the evidence chain."
    )
    owner = accounts[0].account if len(accounts) == 1 else "all_accounts"
    return dg.Definitions(
        assets=[*account_assets, *(add_catalog_entries(one, owner=owner) for one in (tables, report, evidence))],
        asset_checks=build_checks(accounts[0]),
        jobs=[*jobs.values(), publish, seal],
        schedules=[
            *(schedule for settings in accounts for schedule in build_schedules(settings, jobs, clock=clock)),
            build_seal_schedule(accounts[0], seal),
        ],
        sensors=[
            build_stale_snapshot(accounts, publish, clock=clock),
            build_callback_inbox(accounts, jobs[DRAIN.name], clock=clock),
            build_failure_alert(accounts, clock=clock),
            build_audit_alert(accounts),
            build_freshness_alert(accounts, clock=clock),
            build_data_alert(accounts),
        ],
        resources={settings.name("iplum"): build_resource(settings) for settings in accounts},
        executor=executor,
    )


def _build_account(settings: Settings, clock: Clock, progress: Progress) -> list[dg.AssetsDefinition]:
    return [
        *(build_window_assets(dataset, settings, clock=clock, progress=progress) for dataset in DATASETS),
        build_callbacks_asset(settings, clock=clock),
        *(build_archive_assets(archive, settings, clock=clock, progress=progress) for archive in ARCHIVES),
    ]


def build_resource(settings: Settings) -> IPlumResource:
    """Build the client's resource: Dagster sees the names of the variables with the keys, never the keys."""
    return IPlumResource(
        access_key=dg.EnvVar(settings.secrets.access_key),
        secret_key=dg.EnvVar(settings.secrets.secret_key),
        login_id=dg.EnvVar(settings.secrets.login_id),
        base_url=settings.base_url,
        language=settings.language,
        login_case=settings.login_case,
        requests_per_second=settings.requests_per_second,
        limiter_file=str(open_folder(settings).limiter_file(settings.account)),
        limiter_database=dg.EnvVar("IPLUM_LIMITER_URL") if settings.limiter_url else None,
    )
