"""Checks of the API: connection, clock, signature, permissions, usage types, and the start of history."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from iplum_resource import errors
from iplum_resource.client import IPlumClient
from iplum_resource.credentials import Credentials
from iplum_resource.errors import IPlumError
from iplum_resource.http.status_errors import CLOCK_TOLERANCE
from iplum_resource.limits.rate_limit_state import open_state_store
from iplum_resource.limits.rate_limiter import RateLimiter
from iplum_resource.window import Window
from pipelines.doctor.diagnosis import Diagnosis, State
from pipelines.settings import Settings
from pipelines.warehouse_folder import open_folder
from warehouse.raw.lenient_json import parse_json
from warehouse.windows import StorageWindow, window_of, windows_between

#: The width of a request that is only made for its status.
_SHORT = timedelta(hours=1)
#: Recognizable in iPlum's own logs.
_NO_RECORD = "iplum-doctor-asks-for-no-record"
#: Enough to find a window in seven years.
_MAX_REQUESTS = 10
_PERMITTED = "permitted"


def open_client(settings: Settings, environ: Mapping[str, str]) -> IPlumClient:
    """Open a client that shares the rate limit of other processes on this data folder."""
    file, names = open_folder(settings).limiter_file(settings.account), settings.secrets
    return IPlumClient(
        Credentials(environ[names.access_key], environ[names.secret_key], environ[names.login_id]),
        base_url=settings.base_url,
        language=settings.language,
        login_case=settings.login_case,
        parse_invalid=parse_json,
        # The doctor creates no folder: before the first sync, no other process sends requests.
        limiter=RateLimiter(
            settings.requests_per_second,
            store=open_state_store(
                environ[names.access_key],
                file=str(file) if file.parent.is_dir() else None,
                database=settings.limiter_url or None,
            ),
        ),
    )


def diagnose_account(client: IPlumClient, settings: Settings, now: datetime) -> Iterator[Diagnosis]:
    """Check the account's permissions, with at most about 20 requests.

    Requests one hour of each usage type and of recordings, two records that do not exist, and some older windows.
    Ends with the first error that holds for every request. `now` is aware UTC.
    """
    hour = Window(now - _SHORT, now)
    results: dict[str, IPlumError | None] = {}
    for usage_type in settings.usage_types:
        error = results[usage_type] = _try(client.fetch_usage, hour, [usage_type])
        if len(results) == 1:
            yield from _diagnose_first(client, error)
        if isinstance(error, errors.AccountError) and not isinstance(error, errors.Forbidden):
            return
        if isinstance(error, errors.Forbidden):
            break
    yield from _diagnose_usage(results)
    yield _diagnose_list("recordings", _try(client.fetch_recordings, hour))
    yield _diagnose_record("contents", _try(client.fetch_content, _NO_RECORD))
    yield _diagnose_record("recording files", _try(client.fetch_recording_url, _NO_RECORD))
    accepted = [usage_type for usage_type, error in results.items() if error is None]
    if accepted:
        yield _diagnose_history(client, settings, accepted, now=now)


def _try(request: Callable[..., object], *arguments: object) -> IPlumError | None:
    try:
        request(*arguments, retry_server_errors=False)
    except IPlumError as error:
        return error
    return None


def _diagnose_first(client: IPlumClient, error: IPlumError | None) -> Iterator[Diagnosis]:
    if isinstance(error, errors.Unreachable | errors.WrongAddress):
        yield _fail("connection", error)
        return
    yield _diagnose_clock(client.clock_offset)
    if error is None or isinstance(error, errors.Forbidden | errors.InvalidRequest):
        yield Diagnosis("signature", State.OK, "iPlum accepts the keys and the login ID")
    else:
        yield _fail("signature", error)


def _diagnose_clock(offset: timedelta | None) -> Diagnosis:
    if offset is None:
        return Diagnosis("clock", State.SKIPPED, "iPlum's response has no Date header")
    seconds = abs(offset.total_seconds())
    found = f"{seconds:.0f} s {'ahead of' if offset > timedelta(0) else 'behind'} iPlum's"
    if abs(offset) > CLOCK_TOLERANCE:
        return Diagnosis("clock", State.FAILED, found, "Set this machine's clock (turn on NTP).")
    return Diagnosis("clock", State.OK, found)


def _diagnose_usage(results: Mapping[str, IPlumError | None]) -> Iterator[Diagnosis]:
    first = next(iter(results.values()))
    if isinstance(first, errors.Forbidden):
        yield _fail("usage", first)
        return
    for usage_type, error in results.items():
        if error is None:
            yield Diagnosis(f"usage {usage_type}", State.OK, "accepted")
        elif isinstance(error, errors.InvalidRequest):
            yield Diagnosis(
                f"usage {usage_type}",
                State.WARNING,
                f"iPlum rejects it ({error.detail})",
                "No action needed: the sync uses the others. Remove it from IPLUM_USAGE_TYPES to hide this line.",
            )
        else:
            yield _fail(f"usage {usage_type}", error)
    if all(isinstance(error, errors.InvalidRequest) for error in results.values()):
        yield Diagnosis("usage", State.FAILED, "iPlum rejects every usage type", "Check IPLUM_USAGE_TYPES.")


def _diagnose_list(name: str, error: IPlumError | None) -> Diagnosis:
    if error is None:
        return Diagnosis(name, State.OK, _PERMITTED)
    if isinstance(error, errors.Forbidden):
        fix = "No action needed if the account has no call recording plan; everything else works without it."
        return Diagnosis(name, State.WARNING, error.problem, fix)
    return _fail(name, error)


def _diagnose_record(name: str, error: IPlumError | None) -> Diagnosis:
    """Treat a rejection of the record as permission: an account without permission gets a 403."""
    if error is None or isinstance(error, errors.InvalidRequest | errors.UnreadableResponse):
        return Diagnosis(name, State.OK, _PERMITTED)
    return _diagnose_list(name, error)


def _diagnose_history(client: IPlumClient, settings: Settings, accepted: Sequence[str], *, now: datetime) -> Diagnosis:
    windows = list(windows_between(window_of(settings.start_date).start, now))
    requested: list[StorageWindow] = []

    def has_rows(window: StorageWindow) -> bool:
        requested.append(window)
        request = Window(window.start, min(window.end, now))
        try:
            return bool(client.fetch_usage(request, accepted, retry_server_errors=False).rows)
        except errors.InvalidRequest:  # iPlum may reject windows that it no longer stores
            return False

    try:
        earliest = find_earliest(windows, has_rows, max_requests=_MAX_REQUESTS)
    except IPlumError as error:
        return _fail("history", error)
    if earliest is None:
        requests = "1 request" if len(requested) == 1 else f"{len(requested)} requests"
        return Diagnosis("history", State.OK, f"no records found since {settings.start_date} in {requests}")
    if earliest == windows[0]:
        found = f"starts at or before IPLUM_START_DATE ({earliest.key})"
        return Diagnosis("history", State.OK, found, "For older records, set an earlier IPLUM_START_DATE.")
    found = f"starts in the window of {earliest.key} or shortly before; earlier windows are empty"
    return Diagnosis("history", State.OK, f"{found} (not used yet, or no longer stored by iPlum)")


def _fail(name: str, error: IPlumError) -> Diagnosis:
    return Diagnosis(name, State.FAILED, error.cause, error.fix)


_T = TypeVar("_T")


def find_earliest(windows: Sequence[_T], has_rows: Callable[[_T], bool], *, max_requests: int) -> _T | None:
    """Return the first of `windows`, oldest first, with rows, by bisection with at most `max_requests` requests.

    Correct if all windows before it are empty and all after it are not. If some later ones are empty, an earlier
    window may have rows too. None if nothing was found.
    """
    if not windows or max_requests < 1:
        return None
    if has_rows(windows[0]):
        return windows[0]
    empty, found = 0, len(windows)
    for _ in range(max_requests - 1):
        if found - empty <= 1:
            break
        middle = (empty + found) // 2
        empty, found = (empty, middle) if has_rows(windows[middle]) else (middle, found)
    return windows[found] if found < len(windows) else None
