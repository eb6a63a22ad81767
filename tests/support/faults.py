"""Every way in which a request can fail, and the resulting error. Also renders the table of docs/trust.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from iplum_resource.errors import (
    BadCertificate,
    BrokenJson,
    Interrupted,
    IPlumError,
    RateLimited,
    ResponseTooLarge,
    ServerFailed,
    TimedOut,
    Unreachable,
    UnreadableResponse,
    WrongClock,
)
from pipelines.settings import PROJECT
from tests.support.scripted_server import Step, drip, hang, respond, send, send_then_reset, write_head
from tests.support.window_requests import RECORDS

Outcome = Literal["window", "part", "run"]
#: The effect of a lasting failure, as the page words it.
OUTCOMES: Mapping[Outcome, str] = {
    "window": "the window fails, the others continue",
    "part": "the window is split, and only the hour that keeps failing is missing",
    "run": "the run ends at once, because no other request can succeed",
}


@dataclass(frozen=True)
class Fault:
    """One failure: its server step, the attempts of a request for five days, and the final error.

    `step` is None if no server responds; tests set up these failures by name. `advice` is added to the table.
    """

    name: str
    step: Step | None
    attempts: int
    error: type[IPlumError]
    outcome: Outcome
    advice: str = ""


_WHOLE = write_head(200, length=len(RECORDS)) + RECORDS
_IN = "Sun, 01 Mar 2026 12:00:30 GMT"
_BY_ITS_CLOCK = {"Retry-After": _IN, "Date": "Sun, 01 Mar 2026 12:00:00 GMT"}
_HOUR_OFF = {"Date": "Sun, 01 Mar 2026 13:00:00 GMT"}
_ERROR = b'{"errorCode": "ERR_INTERNAL", "errorDescription": "CANARY"}'
_DEEP = b"[" * 10_000 + b"]" * 10_000
_MEGABYTE = b" " * (1 << 20)
_ENDLESS = drip(write_head(200, length=None) + b"[", _MEGABYTE, every=0)

FAULTS = (
    Fault("429 without Retry-After", respond(429), 8, RateLimited, "window", "the rate is lowered automatically"),
    Fault(
        "429 with Retry-After in seconds",
        respond(429, headers={"Retry-After": "7"}),
        8,
        RateLimited,
        "window",
        "each retry waits for the time in Retry-After, at most 15 minutes",
    ),
    Fault(
        "429 with Retry-After as a date",
        respond(429, headers=_BY_ITS_CLOCK),
        8,
        RateLimited,
        "window",
        "each retry waits until that time by iPlum's clock, at most 15 minutes",
    ),
    Fault("500", respond(500), 3, ServerFailed, "part"),
    Fault("connection reset before the headers", send_then_reset(b""), 8, Interrupted, "window"),
    Fault(
        "connection reset in the headers", send_then_reset(b"HTTP/1.1 200 OK\r\nContent-Ty"), 8, Interrupted, "window"
    ),
    Fault("connection reset after the headers", send_then_reset(_WHOLE[:-5]), 8, Interrupted, "window"),
    Fault("body cut short, with Content-Length", send(_WHOLE[:-5]), 8, Interrupted, "window"),
    Fault(
        "body cut short, without Content-Length",
        send(write_head(200, length=None) + RECORDS[:-5]),
        8,
        BrokenJson,
        "window",
    ),
    Fault("no response within 120 s", hang, 3, TimedOut, "part"),
    Fault(
        "body not complete within 15 minutes",
        drip(write_head(200, length=10**6), b" ", every=0.005),
        3,
        TimedOut,
        "part",
    ),
    Fault("200 with an error object", respond(200, _ERROR), 1, UnreadableResponse, "window"),
    Fault(
        "200 with a web page",
        respond(200, b"<html>CANARY</html>", {"Content-Type": "text/html"}),
        8,
        BrokenJson,
        "window",
    ),
    Fault("200 with `null`", respond(200, b"null"), 1, UnreadableResponse, "window"),
    Fault("200 with an empty body", respond(200), 8, BrokenJson, "window"),
    Fault("200 nested 10,000 deep", respond(200, _DEEP), 1, UnreadableResponse, "window"),
    Fault("200 with a body of over 64 MB", _ENDLESS, 1, ResponseTooLarge, "part", "reading stops at 64 MB"),
    Fault("this machine's clock is wrong by an hour", respond(401, headers=_HOUR_OFF), 1, WrongClock, "run"),
    Fault("certificate of another host", None, 1, BadCertificate, "run", "nothing was sent"),
    Fault("host name not found", None, 3, Unreachable, "run", "8 attempts if iPlum has responded earlier in this run"),
)


def render_table() -> str:
    """Return the table, one line per failure."""
    lines = ["| failure | attempts | if it persists | error |", "|---|---|---|---|"]
    for fault in FAULTS:
        outcome = OUTCOMES[fault.outcome] + (f"; {fault.advice}" if fault.advice else "")
        lines.append(f"| {fault.name} | {fault.attempts} | {outcome} | {fault.error.problem} |")
    return "\n".join(lines)


def write_page() -> None:
    """Write the table to docs/trust.md, between its markers."""
    page = PROJECT / "docs" / "trust.md"
    before, mark, rest = page.read_text().partition("<!-- faults -->\n")
    page.write_text(f"{before}{mark}{render_table()}\n<!-- /faults -->{rest.partition('<!-- /faults -->')[2]}")


if __name__ == "__main__":
    write_page()
