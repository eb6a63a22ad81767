"""Everything that can go wrong between us and iPlum, as a tree to catch by.

    IPlumError                  says what happened, to which request, and what to do
    ├── AccountError            no other window can succeed: end the run
    │   ├── Unauthorized        401: keys, login ID or the API switch
    │   │   └── WrongClock      401 because this machine's clock is off
    │   ├── Forbidden           403: this endpoint is not in the account's plan or role
    │   ├── WrongAddress        404, 405, 406 or a redirect: the base URL is not iPlum's API
    │   ├── RateLimiterFailed   the database that keeps the ceiling of requests can't be used
    │   └── Unreachable         no connection: DNS, refused, firewall, proxy
    │       ├── TlsFailed       a connection, but no encrypted one
    │       └── BadCertificate  a certificate that isn't this host's, or isn't to be trusted
    ├── UnreadableCallback      what was pushed is not what the document describes
    └── WindowError             another window, or this one later, may succeed
        ├── InvalidRequest      400 and other refusals of this request
        │   └── InvalidDate     400 ERR_INVALID_DATE
        ├── RateLimited         429 for good
        ├── ServerFailed        5xx for good
        ├── TimedOut            no complete answer in time
        ├── Interrupted         the connection broke before the answer was complete
        ├── UnreadableResponse  a 200 that isn't what the document describes
        │   ├── BrokenJson      not JSON at all: cut, HTML, empty
        │   └── ResponseTooLarge  over the size ceiling: ask for less
        ├── MediaError          a file that can't be had from the media host
        │   ├── MediaExpired    403, 404, 410: the URL is no longer good, or the file not there yet
        │   ├── MediaRefused    what our own rules forbid: another host, a private address, too large
        │   └── MediaUnreachable  no connection to the media host
        └── SplitCheckFailed    an answer whose halves don't bear it out
            └── RowCapReached   as many rows in a second as the API will ever give

Belongs here: the errors and their texts. Does not belong here: deciding which one an answer is (answers),
and whether to try again (retry). A text holds a path, a window, a status, a time; never a key, a login ID,
a signature, a number, a body or a URL. Each error is made of its plain arguments, so it copies and pickles.
"""

from datetime import datetime, timedelta

_SWITCH = 'log in at https://my.iplum.com, open "API & Call Backs", see that API is on and compare the keys'


class IPlumError(Exception):
    """Handle whatever iPlum or the way to it did wrong, in one clause.

    `request` says which request it was: path and window. `detail` says what happened in this case.
    """

    happened = "the request failed"
    remedy = "Try again later."

    def __init__(self, request: str, detail: str = "") -> None:
        super().__init__(request, detail)
        self.request = request
        self.detail = detail

    def __str__(self) -> str:
        happened = f"{self.happened} ({self.detail})" if self.detail else self.happened
        return f"{self.request}: {happened}. {self.remedy}"


class UnreadableCallback(IPlumError):
    """Tell whoever pushed something why it was not taken (document, "Callbacks")."""

    happened = "what was pushed was not taken"
    remedy = "Push one record, or an array of records, each a JSON object with its recordId."


class AccountError(IPlumError):
    """Know that every further request would fail the same way, so the run can end at once."""


class Unauthorized(AccountError):
    """Know that iPlum knows neither key nor login, before repeated tries lock the account (401)."""

    happened = "iPlum answered 401 Unauthorized"
    remedy = f"Check access key, secret key and administrator login ID: {_SWITCH}."


class WrongClock(Unauthorized):
    """Know that the keys may be right and this machine's clock is not.

    `offset` is how far this machine is ahead of iPlum's `Date` header; negative when it is behind.
    """

    remedy = "Set this machine's clock (switch on NTP), then try again; the keys need no change."

    def __init__(self, request: str, offset: timedelta) -> None:
        seconds = round(abs(offset.total_seconds()))
        ahead = "ahead of" if offset > timedelta(0) else "behind"
        super().__init__(request, f"this machine's clock is {seconds} s {ahead} iPlum's")
        self.args = (request, offset)
        self.offset = offset


class Forbidden(AccountError):
    """Know that the account may not use this endpoint; other endpoints may still answer (403)."""

    happened = "iPlum answered 403 Forbidden"
    remedy = (
        "The account lacks the permission or the plan for this (recordings need a call recording plan): "
        "ask the account's administrator or iPlum's support."
    )


class WrongAddress(AccountError):
    """Know that what answers at the base URL isn't iPlum's API (404, 405, 406, redirects)."""

    happened = "the address is not one of iPlum's API"
    remedy = "Check the base URL: the documented one is https://api.iplum.com, with nothing after the host."


class RateLimiterFailed(AccountError):
    """Know that no request may be sent, since nobody can say how many others have been."""

    happened = "the database that keeps the ceiling of requests per second can't be used"
    remedy = "See that the PostgreSQL of IPLUM_LIMITER_URL runs and lets this user make and write a table."


class Unreachable(AccountError):
    """Know that no request got through, so that waiting or repairing the network is what helps."""

    happened = "no connection to iPlum"
    remedy = "Check the base URL's host name, this machine's network, firewall and proxy settings."


class TlsFailed(Unreachable):
    """Know that a server was reached that doesn't speak the encryption asked for."""

    happened = "no encrypted connection to iPlum"
    remedy = "Check that the base URL's scheme and port are right and that no proxy breaks TLS on the way."


class BadCertificate(Unreachable):
    """Know that whoever answered could not prove to be iPlum, and that nothing was sent to them."""

    happened = "the server's certificate was not accepted"
    remedy = (
        "Check the base URL's host name and this machine's clock. Behind a proxy that inspects TLS, name its "
        "certificate authority in REQUESTS_CA_BUNDLE. Don't switch verification off."
    )


class WindowError(IPlumError):
    """Know that this request failed alone, so that the other windows should still be asked for."""


class InvalidRequest(WindowError):
    """Know that iPlum refused what was asked, and by which code (400; document, "Error Codes").

    `error_code` is the vendor's code, or None where the answer had none in the documented form.
    """

    happened = "iPlum refused the request"
    remedy = "Check the usage types, the language and the record asked for; the same request will fail again."

    def __init__(self, request: str, error_code: str | None, status: int = 400) -> None:
        super().__init__(request, f"{status}, {error_code or 'no error code'}")
        self.args = (request, error_code, status)
        self.error_code = error_code
        self.status = status


class InvalidDate(InvalidRequest):
    """Know that iPlum refused the date range itself (400 ERR_INVALID_DATE)."""

    remedy = "The range must end after its start, at most five days later: ask for a narrower window."


class RateLimited(WindowError):
    """Know that iPlum goes on refusing for the rate alone, and until when (429).

    `retry_at` is the instant (UTC) that iPlum named, or None.
    """

    happened = "iPlum answered 429 Too Many Requests"
    remedy = "Try again later, or with fewer requests per second."

    def __init__(self, request: str, retry_at: datetime | None = None) -> None:
        until = "" if retry_at is None else f"it wants no request before {retry_at:%Y-%m-%dT%H:%M:%SZ}"
        super().__init__(request, until)
        self.args = (request, retry_at)
        self.retry_at = retry_at


class ServerFailed(WindowError):
    """Know that iPlum's server failed on this request; a narrower window may get through (5xx).

    `status` is the HTTP status; `retry_at` the instant (UTC) that iPlum named, or None.
    """

    happened = "iPlum's server failed"
    remedy = "Try again later, or with a narrower window; contact iPlum if this persists."

    def __init__(self, request: str, status: int, retry_at: datetime | None = None) -> None:
        super().__init__(request, str(status))
        self.args = (request, status, retry_at)
        self.status = status
        self.retry_at = retry_at


class TimedOut(WindowError):
    """Know that the answer did not come, or not to its end, in the time allowed."""

    happened = "iPlum took too long"
    remedy = "Try again later, or with a narrower window."


class Interrupted(WindowError):
    """Know that the connection broke before the answer was complete, so nothing of it was taken."""

    happened = "the connection broke before the answer was complete"


class UnreadableResponse(WindowError):
    """Know that iPlum answered 200 with something else than documented, which is never "no data"."""

    happened = "iPlum's answer is not in the documented form"
    remedy = "Try again later; if it stays so, iPlum's API has changed, or a proxy answers in its place."


class BrokenJson(UnreadableResponse):
    """Know that the answer isn't JSON at all: cut short, empty, or a web page."""


class ResponseTooLarge(UnreadableResponse):
    """Know that the answer is larger than this machine agreed to hold; a narrower window may fit."""

    happened = "iPlum's answer is over the size ceiling"
    remedy = "Ask for a narrower window."


class MediaError(WindowError):
    """Know that one file can't be had, and that others still may."""

    happened = "the media host did not give the file"
    remedy = "The next archive run tries again."


class MediaExpired(MediaError):
    """Know that the URL is no longer good, or the file not ready yet: ask iPlum for a fresh one, or wait."""


class MediaRefused(MediaError):
    """Know that the file was not fetched because it would be unsafe to."""

    happened = "the file was not fetched"
    remedy = "If iPlum's files have moved to another host, name it in IPLUM_MEDIA_HOSTS."


class MediaUnreachable(MediaError):
    """Know that the media host could not be reached, which says nothing about the API."""

    happened = "no connection to the media host"


class SplitCheckFailed(WindowError):
    """Know that a window's answer and the answers for its halves contradict each other."""

    happened = "the answer for the whole and those for its halves differ"
    remedy = "What came is kept; the next sync asks again. If it stays so, iPlum leaves out rows: tell iPlum."


class RowCapReached(SplitCheckFailed):
    """Know that iPlum cuts its answers off at so many rows that not even a second can be shown to be whole."""

    happened = "iPlum seems to cut its answers off at a fixed number of rows"
    remedy = (
        "What came is kept, but rows of this second may be missing: ask iPlum for the limit of rows an answer."
    )
