"""Windows as Dagster partitions: definition, steps over a range of windows, and the tags of a run over a range."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from iplum_resource.client import IPlumClient
from iplum_resource.resource import IPlumResource
from pipelines.defs.failures import failing_step
from pipelines.settings import Settings, SettingsError
from pipelines.warehouse_folder import check_folder, open_folder
from warehouse.raw.lenient_json import parse_json
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of

#: About a year. A run has seconds of overhead, and a year finishes in reasonable time.
MAX_WINDOWS_PER_RUN = 80

#: Marks the runs of an audit, which request each window whole and in halves and report differences.
AUDIT_TAG = "iplum/audit"
#: Start of the tags that an audit's run gets for its findings, one per dataset.
FINDINGS_TAG = "iplum/found_in_"

_RANGE_START = "dagster/asset_partition_range_start"
_RANGE_END = "dagster/asset_partition_range_end"
_SINGLE = "dagster/partition"


def build_partitions(start_date: date) -> dg.TimeWindowPartitionsDefinition:
    """Build the partitions of an account: one per window, up to the one still open.

    The start date is moved back to its window's start, because Dagster silently drops the days up to the next
    boundary. Keys are the windows' first days (UTC).
    """
    return dg.TimeWindowPartitionsDefinition(
        cron_schedule="0 0 */5 * *", timezone="UTC", fmt="%Y-%m-%d", start=window_of(start_date).key, end_offset=1
    )


def window_step(
    settings: Settings, name: str, specs: Sequence[dg.AssetSpec]
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Return the decorator of a step over a range of an account's windows, which sends requests to iPlum."""
    return dg.multi_asset(
        name=settings.name(name),
        specs=specs,
        required_resource_keys={settings.name("iplum")},
        partitions_def=build_partitions(settings.start_date),
        backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=MAX_WINDOWS_PER_RUN),
    )


def open_account(context: dg.AssetExecutionContext, settings: Settings) -> tuple[DataFolder, IPlumClient]:
    """Return the data folder and the client of an account for a step; raises its failure if one is unusable."""
    folder = open_folder(settings)
    iplum: IPlumResource = getattr(context.resources, settings.name("iplum"))
    with failing_step(SettingsError, ValueError):
        check_folder(settings, folder)
        folder.create_locks_folder()
        return folder, iplum.get_client(parse_json)


def build_range_tags(window_range: Sequence[StorageWindow]) -> dict[str, str]:
    """Return the tags of a run over a contiguous range of windows, oldest first."""
    return {_RANGE_START: window_range[0].key, _RANGE_END: window_range[-1].key}


def describe_range(tags: Mapping[str, str]) -> str:
    """Describe the windows in a run's tags; empty for a run without windows."""
    if _SINGLE in tags:
        return f"window {tags[_SINGLE]}"
    if _RANGE_START not in tags:
        return ""
    return f"windows {tags[_RANGE_START]} to {tags[_RANGE_END]}"
