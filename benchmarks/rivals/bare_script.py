"""The script that a competent user would write: requests, a signature, a data frame, a Parquet file.

No retry, no limit, no ledger, no proof, no second run: the least that brings the rows.

`python bare_script.py URL FIRST LAST FILE`
"""

import base64
import hashlib
import hmac
import sys
import time
from datetime import date, timedelta

import pandas as pd
import requests

KEY, SECRET, LOGIN = "BENCHMARKKEY", "benchmark-secret", "admin@clinic.example"
PATH = "/usage/getusage"


def sign(epoch: str) -> str:
    """Sign as in the document's example."""
    text = "\n".join(("post", KEY, LOGIN, "v1", epoch, PATH))
    return base64.b64encode(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()).decode()


def fetch(session: requests.Session, url: str, start: date, end: date) -> list[dict[str, object]]:
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
    response = session.post(url + PATH, json=body, headers=headers, timeout=120)
    response.raise_for_status()
    rows: list[dict[str, object]] = response.json()
    return rows


def main() -> None:
    """Fetch all windows and write one file."""
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
