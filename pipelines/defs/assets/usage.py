"""Usage: every call, text and fax, asked for in the types that the API takes."""

from collections.abc import Callable
from datetime import datetime

import dagster as dg

from iplum_resource.resource import IPlumResource
from iplum_resource.usage_types import UsageRequest
from iplum_resource.window_pull import FetchWindow
from pipelines.defs.assets.window_assets import Dataset, build_window_assets
from pipelines.settings import Settings
from pipelines.steps.progress import Progress
from warehouse.schema.tables import USAGE


def build_usage_assets(
    settings: Settings, *, clock: Callable[[], datetime], progress: Progress
) -> dg.AssetsDefinition:
    """Make `raw_usage` and `usage`."""

    def build_fetches(iplum: IPlumResource) -> tuple[FetchWindow, FetchWindow]:
        request = UsageRequest(iplum.get_client(), settings.usage_types)
        return request, request.once

    dataset = Dataset(
        table=USAGE,
        raw_description=(
            "Every answer of iPlum's usage endpoint, verbatim and append-only, one file each, with its request "
            "and time. All else is made from it, without asking iPlum again."
        ),
        description=(
            "Calls, texts and faxes of a window, one row a record: the union of all answers about it, the newest "
            "field by field. What iPlum no longer has stays, with the date since when."
        ),
        build_fetches=build_fetches,
    )
    return build_window_assets(dataset, settings, clock=clock, progress=progress)
