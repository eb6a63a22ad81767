"""The assets `raw_recordings` and `recordings`. Files are downloaded by the archive."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

import dagster as dg

from iplum_resource.resource import IPlumResource
from iplum_resource.window_pull import FetchWindow
from pipelines.defs.assets.window_assets import Dataset, build_window_assets
from pipelines.settings import Settings
from pipelines.steps.progress import Progress
from warehouse.schema.tables import RECORDINGS


def build_recordings_assets(
    settings: Settings, *, clock: Callable[[], datetime], progress: Progress
) -> dg.AssetsDefinition:
    """Build the assets `raw_recordings` and `recordings`; without a recording plan they stay empty."""

    def build_fetches(iplum: IPlumResource) -> tuple[FetchWindow, FetchWindow]:
        client = iplum.get_client()
        return client.fetch_recordings, partial(client.fetch_recordings, retry_server_errors=False)

    dataset = Dataset(
        table=RECORDINGS,
        raw_description=(
            "Responses of the recordings endpoint, verbatim and append-only, with their requests and times. A "
            "refusal (no recording plan) is stored without rows."
        ),
        description=(
            "Call recordings of a window, one row per recording, merged like usage. Their files are in "
            "`recording_files`."
        ),
        build_fetches=build_fetches,
        refusable=True,
    )
    return build_window_assets(dataset, settings, clock=clock, progress=progress)
