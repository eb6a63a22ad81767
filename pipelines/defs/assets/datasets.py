"""The datasets that are pulled by window: usage and recordings."""

from functools import partial

from iplum_resource.client import IPlumClient
from iplum_resource.usage_types import UsageRequest
from iplum_resource.window_pull import FetchWindow
from pipelines.defs.assets.window_assets import Dataset
from pipelines.settings import Settings
from warehouse.schema.tables import RECORDINGS, USAGE


def _fetch_usage(client: IPlumClient, settings: Settings) -> tuple[FetchWindow, FetchWindow]:
    request = UsageRequest(client, settings.usage_types)
    return request, request.once


_USAGE = Dataset(
    table=USAGE,
    raw_description="Responses of the usage endpoint, verbatim and append-only, with their requests and times. "
    "Everything else is computed from them, without further requests.",
    description="Calls, texts and faxes of a window, one row per record, merged from all its responses and "
    "callbacks. Records that iPlum no longer has are kept, with `absent_since`.",
    build_fetches=_fetch_usage,
)
#: If the account has no recording plan, these assets are empty. The archive downloads the files.
_RECORDINGS = Dataset(
    table=RECORDINGS,
    raw_description="Responses of the recordings endpoint, verbatim and append-only, with their requests and times. "
    "A refusal (no recording plan) is stored without rows.",
    description="Call recordings of a window, one row per recording, merged like usage. Their files are in "
    "`recording_files`.",
    build_fetches=lambda client, _: (
        client.fetch_recordings,
        partial(client.fetch_recordings, retry_server_errors=False),
    ),
    refusable=True,
)
DATASETS = (_USAGE, _RECORDINGS)
