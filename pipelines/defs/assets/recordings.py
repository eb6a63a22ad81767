"""Recordings: what was recorded and when; the files themselves are fetched by the archive."""

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
    """Make `raw_recordings` and `recordings`; an account without a recording plan keeps them empty and green."""

    def build_fetches(iplum: IPlumResource) -> tuple[FetchWindow, FetchWindow]:
        client = iplum.get_client()
        return client.fetch_recordings, partial(client.fetch_recordings, retry_server_errors=False)

    dataset = Dataset(
        table=RECORDINGS,
        raw_description=(
            "Every answer of iPlum's recordings endpoint, verbatim and append-only, one file each, with its "
            "request and time; a refusal (no recording plan) leaves a note here and no rows."
        ),
        description=(
            "Call recordings of a window as iPlum announces them, one row a recording, folded like usage. "
            "Says nothing of the files: those are the archive's."
        ),
        build_fetches=build_fetches,
        refusable=True,
    )
    return build_window_assets(dataset, settings, clock=clock, progress=progress)
