"""The assets `raw_usage` and `usage`."""

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


def build_usage_assets(settings: Settings, *, clock: Callable[[], datetime], progress: Progress) -> dg.AssetsDefinition:
    """Build the assets `raw_usage` and `usage`."""

    def build_fetches(iplum: IPlumResource) -> tuple[FetchWindow, FetchWindow]:
        request = UsageRequest(iplum.get_client(), settings.usage_types)
        return request, request.once

    dataset = Dataset(
        table=USAGE,
        raw_description=(
            "Responses of the usage endpoint, verbatim and append-only, with their requests and times. Everything "
            "else is computed from them, without further requests."
        ),
        description=(
            "Calls, texts and faxes of a window, one row per record, merged from all its responses and callbacks. "
            "Records that iPlum no longer has are kept, with `absent_since`."
        ),
        build_fetches=build_fetches,
    )
    return build_window_assets(dataset, settings, clock=clock, progress=progress)
