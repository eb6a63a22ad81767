"""Signed requests of the alternatives, as a user would write them from the API document."""

import base64
import hashlib
import hmac
import time
from datetime import date

KEY, SECRET, LOGIN = "BENCHMARKKEY", "benchmark-secret", "admin@clinic.example"
PATH = "/usage/getusage"
TYPES = "iPlumtext,iplumcall,externalcall,externaltext,fax"


def build_headers() -> dict[str, str]:
    """Return signed headers as in the documented example."""
    epoch = str(int(time.time()))
    text = "\n".join(("post", KEY, LOGIN, "v1", epoch, PATH))
    signature = base64.b64encode(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()).decode()
    return {
        "X-iPlumAuth-AccessKey": KEY,
        "X-iPlumAuth-Username": LOGIN,
        "X-iPlumAuth-Version": "v1",
        "X-iPlumAuth-EpochDateTime": epoch,
        "Authorization": f"iPlumAuth {signature}",
    }


def build_body(start: date, end: date) -> dict[str, str]:
    """Return the request body for all usage types of a window."""
    return {"Lang": "en", "Usage": TYPES, "StartDate": f"{start} 00:00:00.000", "EndDate": f"{end} 00:00:00.000"}
