"""The pulls of usage and recordings without Dagster: from the API to the lake, for a whole range at once.

`python -m benchmarks.bare_pull FIRST LAST` reads the same environment variables as `iplum`.
"""

import sys
from datetime import UTC, date, datetime, time
from functools import partial

from iplum_resource.usage_types import UsageRequest
from iplum_resource.window_pull import FetchWindow
from pipelines.clock import now
from pipelines.commands.invocation import read_settings
from pipelines.doctor.api import open_client
from pipelines.steps.pull_windows import DatasetLoader
from pipelines.warehouse_folder import open_folder
from warehouse.schema.tables import RECORDINGS, USAGE
from warehouse.windows import windows_between


def main() -> int:
    """Pull the days given on the command line."""
    first, last = (datetime.combine(date.fromisoformat(day), time(), UTC) for day in sys.argv[1:])
    settings, environ = read_settings()
    folder = open_folder(settings)
    failed = 0
    with open_client(settings, environ) as client:
        usage = UsageRequest(client, settings.usage_types)
        recordings: FetchWindow = client.fetch_recordings
        for table, fetch, fetch_once in (
            (USAGE, usage, usage.once),
            (RECORDINGS, recordings, partial(client.fetch_recordings, retry_server_errors=False)),
        ):
            pull = DatasetLoader(
                folder=folder,
                account=settings.account,
                table=table,
                fetch=fetch,
                fetch_once=fetch_once,
                concurrency=settings.concurrency,
                verify=settings.verify,
                clock=now,
            )
            outcomes = pull.load(list(windows_between(first, last)))
            failed += sum(outcome.error is not None for outcome in outcomes)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
