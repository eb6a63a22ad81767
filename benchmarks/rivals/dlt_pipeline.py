"""The same with dlt, as in its documentation: incremental by start time, merged into DuckDB by record id.

`python -m benchmarks.rivals.dlt_pipeline URL FIRST LAST FOLDER` runs in a virtual environment with the packages of
`requirements.txt`.
"""

import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dlt
from dlt.sources.helpers import requests

from benchmarks.rivals.request import PATH, build_body, build_headers


def build_usage(url: str, first: str, last: str) -> Any:
    """Return the dlt resource: one request per five days, starting at the end of the last load."""

    def usage(started: Any = dlt.sources.incremental("startTimeUTC", initial_value=first)) -> Iterator[Any]:  # noqa: B008
        day, end = date.fromisoformat(started.last_value[:10]), date.fromisoformat(last)
        while day < end:
            until = min(day + timedelta(days=5), end)
            yield requests.post(url + PATH, json=build_body(day, until), headers=build_headers()).json()
            day = until

    return dlt.resource(usage, name="usage", primary_key="recordId", write_disposition="merge")


def main() -> None:
    """Load all windows into a DuckDB database in the folder."""
    url, first, last, folder = sys.argv[1:]
    pipeline = dlt.pipeline(
        "iplum",
        pipelines_dir=f"{folder}/state",
        destination=dlt.destinations.duckdb(str(Path(folder) / "warehouse.duckdb")),
        dataset_name="iplum",
    )
    pipeline.run(build_usage(url, first, last))


if __name__ == "__main__":
    main()
