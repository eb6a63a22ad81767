"""The same with dlt, as its documentation has it: incremental by start, merged into DuckDB by record id.

`python dlt_pipeline.py URL FIRST LAST FOLDER`, in an environment of its own (`requirements.txt`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dlt
from dlt.sources.helpers import requests

KEY, SECRET, LOGIN = "BENCHMARKKEY", "benchmark-secret", "admin@clinic.example"
PATH = "/usage/getusage"


def sign(epoch: str) -> str:
    """Sign as in the document's example."""
    text = "\n".join(("post", KEY, LOGIN, "v1", epoch, PATH))
    return base64.b64encode(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()).decode()


def fetch(url: str, start: date, end: date) -> Any:
    """Ask for one window."""
    epoch = str(int(time.time()))
    headers = {
        "X-iPlumAuth-AccessKey": KEY,
        "X-iPlumAuth-Username": LOGIN,
        "X-iPlumAuth-Version": "v1",
        "X-iPlumAuth-EpochDateTime": epoch,
        "Authorization": f"iPlumAuth {sign(epoch)}",
    }
    types = "iPlumtext,iplumcall,externalcall,externaltext,fax"
    body = {"Lang": "en", "Usage": types, "StartDate": f"{start} 00:00:00.000", "EndDate": f"{end} 00:00:00.000"}
    return requests.post(url + PATH, json=body, headers=headers).json()


def build_usage(url: str, first: str, last: str) -> Any:
    """Make the resource: from where the last load ended, a request for each five days."""

    def usage(started: Any = dlt.sources.incremental("startTimeUTC", initial_value=first)) -> Iterator[Any]:  # noqa: B008
        day, end = date.fromisoformat(started.last_value[:10]), date.fromisoformat(last)
        while day < end:
            until = min(day + timedelta(days=5), end)
            yield fetch(url, day, until)
            day = until

    return dlt.resource(usage, name="usage", primary_key="recordId", write_disposition="merge")


def main() -> None:
    """Load all windows into a database of the folder."""
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
