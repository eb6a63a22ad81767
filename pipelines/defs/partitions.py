"""The calendar of windows as Dagster knows it: partitions, backfills, and the tags of a run over several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import dagster as dg

from warehouse.windows import StorageWindow, window_of

#: A year of windows: a run costs seconds whatever it does, and one of a year ends in reasonable time.
MAX_WINDOWS_PER_RUN = 80

BACKFILL_POLICY = dg.BackfillPolicy.multi_run(max_partitions_per_run=MAX_WINDOWS_PER_RUN)

#: The tag by which a run asks for its windows as an audit does: each in halves, and compared with what is here.
AUDIT_TAG = "iplum/audit"

_RANGE_START = "dagster/asset_partition_range_start"
_RANGE_END = "dagster/asset_partition_range_end"
_SINGLE = "dagster/partition"


def build_partitions(start_date: date) -> dg.TimeWindowPartitionsDefinition:
    """Give assets a partition a window, from the window of `start_date` to the one still open.

    A start inside a window would silently drop the days up to the next boundary, so it is aligned down. Keys
    are the windows' first days (UTC).
    """
    return dg.TimeWindowPartitionsDefinition(
        cron_schedule="0 0 */5 * *",
        timezone="UTC",
        fmt="%Y-%m-%d",
        start=window_of(start_date).key,
        end_offset=1,
    )


def tag_range(stretch: Sequence[StorageWindow]) -> dict[str, str]:
    """Tag a run so that it goes through a contiguous stretch of windows, oldest first in `stretch`."""
    return {_RANGE_START: stretch[0].key, _RANGE_END: stretch[-1].key}


def describe_range(tags: Mapping[str, str]) -> str:
    """Say which windows a run's tags are about; empty for a run without windows."""
    if _SINGLE in tags:
        return f"window {tags[_SINGLE]}"
    if _RANGE_START not in tags:
        return ""
    return f"windows {tags[_RANGE_START]} to {tags[_RANGE_END]}"
