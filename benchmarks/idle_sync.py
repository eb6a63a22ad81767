"""The job `sync` over a range with assets that do nothing, to measure the cost of Dagster.

`python -m benchmarks.idle_sync FIRST LAST` reads the same environment variables as `iplum`.
"""

import sys
from collections.abc import Iterator
from datetime import date

import dagster as dg

from pipelines.clock import now
from pipelines.commands.invocation import read_settings
from pipelines.dagster_home import open_instance
from pipelines.defs.build import build_definitions
from pipelines.defs.partitions import build_range_tags
from pipelines.runs.account_jobs import run_job
from pipelines.runs.sync import choose_ranges
from pipelines.settings import Settings


def empty(asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """Return an asset with the same name, outputs, partitions and backfill policy that does nothing."""

    @dg.multi_asset(
        name=asset.op.name,
        specs=list(asset.specs),
        partitions_def=asset.partitions_def,
        backfill_policy=asset.backfill_policy,
    )
    def do_nothing() -> Iterator[dg.MaterializeResult[None]]:
        for spec in asset.specs:
            yield dg.MaterializeResult(asset_key=spec.key)

    return do_nothing


def build_idle(settings: Settings) -> dg.Definitions:
    """Return definitions with a job `sync` over idle versions of its assets."""
    real = build_definitions(settings)
    keys = set(real.resolve_job_def("sync").asset_layer.executable_asset_keys)
    assets = [asset for asset in real.assets or () if isinstance(asset, dg.AssetsDefinition) and asset.keys <= keys]
    idle = [empty(asset) for asset in assets]
    job = dg.define_asset_job("sync", selection=dg.AssetSelection.assets(*idle))
    return dg.Definitions(assets=idle, jobs=[job], executor=dg.in_process_executor)


def main() -> int:
    """Run the job over the days given on the command line."""
    first, last = map(date.fromisoformat, sys.argv[1:])
    settings, _ = read_settings()
    definitions = build_idle(settings)
    failures: list[str] = []
    with open_instance(settings) as instance:
        for windows in choose_ranges(settings, since=first, until=last, now=now()):
            failures += run_job(definitions, "sync", instance, tags=build_range_tags(windows))
    sys.stderr.writelines(f"{failure}\n" for failure in failures)
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
