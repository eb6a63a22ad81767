"""Errors of requests to iPlum and its media host.

    IPlumError                  a request failed: which one, the cause, and the fix
    ├── AccountError            no other window can succeed: end the run
    │   ├── Unauthorized        401: keys, login ID or API switch
    │   │   └── WrongClock      401 because this machine's clock is wrong
    │   ├── Forbidden           403: this endpoint is not in the account's plan or role
    │   ├── WrongAddress        404, 405, 406 or a redirect: the base URL is not iPlum's API
    │   ├── RateLimiterFailed   the database that stores the rate limit cannot be used
    │   │   └── RateLimitFileRefused  the file that stores it is a symlink or belongs to another user
    │   └── Unreachable         no connection: DNS, refused, firewall, proxy
    │       ├── TlsFailed       a connection, but no encrypted one
    │       └── BadCertificate  a certificate for another host, or one that is not trusted
    ├── UnreadableCallback      a callback does not have the documented form
    └── WindowError             another window, or this one later, may succeed
        ├── InvalidRequest      400 and other rejections of this request
        │   └── InvalidDate     400 ERR_INVALID_DATE
        ├── RateLimited         429 after all attempts
        ├── ServerFailed        5xx after all attempts
        ├── TimedOut            no complete response in time
        ├── Interrupted         the connection broke before the response was complete
        ├── UnreadableResponse  a 200 that does not have the documented form
        │   ├── BrokenJson      not JSON: truncated, HTML or empty
        │   └── ResponseTooLarge  over the maximum size: request a narrower window
        ├── MediaError          one file cannot be downloaded: an unexpected status
        │   ├── MediaExpired    401, 403, 404, 410: the URL expired, or the file is not ready yet
        │   ├── MediaNotReady   iPlum responds with a text where a file's URL belongs
        │   ├── MediaRefused    forbidden by the download rules: host, private address or size
        │   └── MediaUnreachable  no connection to the media host
        └── SplitCheckFailed    a response and its two halves hold different records
            └── RowCapReached   one second holds as many rows as any response has had

Texts contain paths, windows, statuses and times; never a key, login ID, signature, phone number, body or URL.
Each error is built from its plain arguments, so it can be copied and pickled.
"""

from datetime import datetime, timedelta

_API_SWITCH = 'Log in at https://my.iplum.com, open "API & Call Backs", check that the API is on and compare the keys.'


class IPlumError(Exception):
    """A request to iPlum failed: path and window (`request`), and more about the cause in this case (`detail`)."""

    problem = "the request failed"
    fix = "Try again later."

    def __init__(self, request: str, detail: str = "") -> None:
        super().__init__(request, detail)
        self.request = request
        self.detail = detail

    @property
    def cause(self) -> str:
        """The problem, with the detail of this case."""
        return f"{self.problem} ({self.detail})" if self.detail else self.problem

    def __str__(self) -> str:
        return f"{self.request}: {self.cause}. {self.fix}"


class UnreadableCallback(IPlumError):
    """A callback was rejected (docs/iplum-api.md, "Usage Callbacks")."""

    problem = "the callback was rejected"
    fix = "Send one record or an array of records, each a JSON object with a recordId."


class AccountError(IPlumError):
    """Every further request of this account would fail the same way."""


class Unauthorized(AccountError):
    """iPlum rejected the credentials (401). Repeated attempts may lock the account."""

    problem = "iPlum rejected the credentials (HTTP 401)"
    fix = f"Check access key, secret key and administrator login ID. {_API_SWITCH}"


class WrongClock(Unauthorized):
    """iPlum rejected the credentials because this machine's clock is wrong.

    `offset` is how far this machine is ahead of iPlum's `Date` header; negative if it is behind.
    """

    fix = "Set this machine's clock (turn on NTP) and try again. The keys need no change."

    def __init__(self, request: str, offset: timedelta) -> None:
        seconds = round(abs(offset.total_seconds()))
        ahead = "ahead of" if offset > timedelta(0) else "behind"
        super().__init__(request, f"this machine's clock is {seconds} s {ahead} iPlum's")
        self.args = (request, offset)
        self.offset = offset


class Forbidden(AccountError):
    """The account may not use this endpoint (403). Other endpoints may still work."""

    problem = "iPlum refused access (HTTP 403)"
    fix = (
        "The account lacks the permission or plan for this endpoint (recordings need a call recording plan). "
        "Ask the account's administrator or iPlum's support."
    )


class WrongAddress(AccountError):
    """The server at the base URL is not iPlum's API (404, 405, 406, redirects)."""

    problem = "the base URL is not iPlum's API"
    fix = "Check the base URL. The documented one is https://api.iplum.com, with nothing after the host."


class RateLimiterFailed(AccountError):
    """The shared rate limit is unavailable, so no request may be sent."""

    problem = "the database that stores the rate limit cannot be used"
    fix = "Check that the PostgreSQL of IPLUM_LIMITER_URL runs and that its user may create and write a table."


class RateLimitFileRefused(RateLimiterFailed):
    """The file in which processes share the rate limit is not a private file of this user."""

    problem = "the file that stores the rate limit cannot be used"
    fix = "Remove it. The next run creates a new one; nothing is lost."


class Unreachable(AccountError):
    """No request reached iPlum."""

    problem = "no connection to iPlum"
    fix = "Check the base URL's host name and this machine's network, firewall and proxy settings."


class TlsFailed(Unreachable):
    """The server does not speak the requested encryption."""

    problem = "no encrypted connection to iPlum"
    fix = "Check the base URL's scheme and port, and that no proxy on the way breaks TLS."


class BadCertificate(Unreachable):
    """The server could not prove that it is iPlum. Nothing was sent to it."""

    problem = "the server's certificate was not accepted"
    fix = (
        "Check the base URL's host name and this machine's clock. Behind a proxy that inspects TLS, set "
        "REQUESTS_CA_BUNDLE to its certificate authority. Do not turn verification off."
    )


class WindowError(IPlumError):
    """A failure of one request; requests for other windows may succeed."""


class InvalidRequest(WindowError):
    """iPlum rejected the request (400; docs/iplum-api.md, "Error codes").

    `error_code` is iPlum's error code, or None if the response had none in the documented form.
    """

    problem = "iPlum rejected the request"
    fix = "Check the usage types, the language and the record ID. The same request will fail again."

    def __init__(self, request: str, error_code: str | None, status: int = 400) -> None:
        super().__init__(request, f"HTTP {status}, {error_code or 'no error code'}")
        self.args = (request, error_code, status)
        self.error_code = error_code
        self.status = status


class InvalidDate(InvalidRequest):
    """iPlum rejected the date range (400 ERR_INVALID_DATE)."""

    fix = "The range must end after its start and be at most five days long. Request a narrower window."


class RateLimited(WindowError):
    """iPlum kept rejecting requests for their rate (429).

    `retry_at` is when iPlum accepts requests again (UTC), or None if it did not say.
    """

    problem = "iPlum received too many requests (HTTP 429)"
    fix = "Try again later, or with fewer requests per second."

    def __init__(self, request: str, retry_at: datetime | None = None) -> None:
        until = "" if retry_at is None else f"no request before {retry_at:%Y-%m-%dT%H:%M:%SZ}"
        super().__init__(request, until)
        self.args = (request, retry_at)
        self.retry_at = retry_at


class ServerFailed(WindowError):
    """iPlum's server failed (5xx). A narrower window may succeed.

    `retry_at` is when iPlum accepts requests again (UTC), or None if it did not say.
    """

    problem = "iPlum's server failed"
    fix = "Try again later or with a narrower window. Contact iPlum if this persists."

    def __init__(self, request: str, status: int, retry_at: datetime | None = None) -> None:
        super().__init__(request, f"HTTP {status}")
        self.args = (request, status, retry_at)
        self.status = status
        self.retry_at = retry_at


class TimedOut(WindowError):
    """The response was not complete in time."""

    problem = "iPlum took too long to respond"
    fix = "Try again later or with a narrower window."


class Interrupted(WindowError):
    """The connection broke before the response was complete. Nothing of it was used."""

    problem = "the connection broke before the response was complete"


class UnreadableResponse(WindowError):
    """A 200 does not have the documented form. This never means "no data"."""

    problem = "iPlum's response does not have the documented form"
    fix = "Try again later. If this persists, iPlum's API has changed, or a proxy responds in its place."


class BrokenJson(UnreadableResponse):
    """The response is not JSON: truncated, empty or a web page."""


class ResponseTooLarge(UnreadableResponse):
    """The response is over the maximum size. A narrower window may fit."""

    problem = "iPlum's response is over the maximum size"
    fix = "Request a narrower window."


class MediaError(WindowError):
    """One file cannot be downloaded; others may succeed."""

    problem = "the media host did not send the file"
    fix = "The next archive run tries again."


class MediaExpired(MediaError):
    """The URL expired or the file is not ready yet. Request a fresh URL, or wait."""


class MediaNotReady(MediaError):
    """iPlum responds with a text where a file's URL belongs."""

    problem = "iPlum has no file for this record yet"


class MediaRefused(MediaError):
    """The download rules forbid this file."""

    problem = "the file was not downloaded"
    fix = "If iPlum's files have moved to another host, add it to IPLUM_MEDIA_HOSTS."


class MediaUnreachable(MediaError):
    """The media host cannot be reached, which does not concern the API."""

    problem = "no connection to the media host"


class SplitCheckFailed(WindowError):
    """The response for a window and the responses for its halves contradict each other."""

    problem = "the response for the window and those for its halves differ"
    fix = (
        "The received records are stored, and the next sync requests the window again. If this persists, report to "
        "iPlum that its API omits records."
    )


class RowCapReached(SplitCheckFailed):
    """iPlum seems to limit the rows of a response so low that not even one second can be confirmed."""

    problem = "iPlum seems to limit the number of rows in a response"
    fix = "The received records are stored, but rows of this second may be missing. Ask iPlum for its row limit."
