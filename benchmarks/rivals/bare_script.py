"""A plain script as an engineer would write it: signed requests, a pandas DataFrame and a Parquet file."""

import sys
from datetime import date, timedelta

import pandas as pd
import requests

from benchmarks.rivals.request import PATH, build_body, build_headers


def fetch(session: requests.Session, url: str, start: date, end: date) -> list[dict[str, object]]:
    """Fetch one window."""
    response = session.post(url + PATH, json=build_body(start, end), headers=build_headers(), timeout=120)
    response.raise_for_status()
    rows: list[dict[str, object]] = response.json()
    return rows


def main() -> None:
    """Fetch all windows and write one Parquet file."""
    url, first, last, file = sys.argv[1:]
    rows = []
    day, end = date.fromisoformat(first), date.fromisoformat(last)
    with requests.Session() as session:
        while day < end:
            until = min(day + timedelta(days=5), end)
            rows += fetch(session, url, day, until)
            day = until
    frame = pd.DataFrame(rows)
    for column in ("startTimeUTC", "endTimeUTC"):
        frame[column] = pd.to_datetime(frame[column])
    for column in ("duration", "iPlumCredits"):
        frame[column] = pd.to_numeric(frame[column])
    frame.to_parquet(file)


if __name__ == "__main__":
    main()
