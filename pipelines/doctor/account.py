"""What iPlum says to this account: clock, signature, what it may ask for, and how far back that reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from iplum_resource.client import IPlumClient
from iplum_resource.credentials import Credentials
from iplum_resource.errors import (
    AccountError,
    Forbidden,
    InvalidRequest,
    IPlumError,
    Unreachable,
    UnreadableResponse,
    WrongAddress,
)
from iplum_resource.http.status_errors import CLOCK_TOLERANCE
from iplum_resource.limits.rate_limit_state import open_state_store
from iplum_resource.limits.rate_limiter import RateLimiter
from iplum_resource.window import Window
from pipelines.doctor.reach import find_earliest
from pipelines.doctor.verdict import State, Verdict
from pipelines.settings import Settings, read_limiter_url
from pipelines.warehouse_folder import open_folder
from warehouse.windows import StorageWindow, window_of, windows_between

#: What is asked only for its status may be short.
_SHORT = timedelta(hours=1)
#: Reads as what it is in iPlum's own logs.
_NO_RECORD = "iplum-doctor-asks-for-no-record"
#: Enough to find a five-day window in seven years.
_QUESTIONS = 10
_PERMITTED = "iPlum lets this account ask for them"


def open_client(settings: Settings, environ: Mapping[str, str]) -> IPlumClient:
    """Make a client that keeps to the ceiling of whatever else runs on this data folder."""
    file, names = open_folder(settings).limiter_file(settings.account), settings.secrets
    return IPlumClient(
        Credentials(environ[names.access_key], environ[names.secret_key], environ[names.login_id]),
        base_url=settings.base_url,
        language=settings.language,
        login_case=settings.login_case,
        # Looking must not make folders: where no sync has run yet, nobody else asks.
        limiter=RateLimiter(
            settings.requests_per_second,
            store=open_state_store(
                environ["IPLUM_ACCESS_KEY"],
                file=str(file) if file.parent.is_dir() else None,
                database=read_limiter_url(environ),
            ),
        ),
    )


def examine_account(client: IPlumClient, settings: Settings, now: datetime) -> Iterator[Verdict]:
    """Ask for one hour of each usage type, of recordings, for two records that don't exist, then back in time.

    Ends with the first refusal that holds for every request. `now` is aware UTC.
    """
    hour = Window(now - _SHORT, now)
    answers: dict[str, IPlumError | None] = {}
    for usage_type in settings.usage_types:
        error = answers[usage_type] = _ask(
            partial(client.fetch_usage, hour, [usage_type], retry_server_errors=False)
        )
        if len(answers) == 1:
            yield from _judge_first(client, error)
        if _is_final(error):
            return
        if isinstance(error, Forbidden):
            break
    yield from _judge_usage(answers)
    yield _judge_list("recordings", _ask(partial(client.fetch_recordings, hour, retry_server_errors=False)))
    yield _judge_record("contents", _ask(partial(client.fetch_content, _NO_RECORD, retry_server_errors=False)))
    yield _judge_record(
        "recording files", _ask(partial(client.fetch_recording_url, _NO_RECORD, retry_server_errors=False))
    )
    accepted = [usage_type for usage_type, error in answers.items() if error is None]
    if accepted:
        yield _examine_reach(client, settings, accepted, now=now)


def _ask(question: Callable[[], object]) -> IPlumError | None:
    try:
        question()
    except IPlumError as error:
        return error
    return None


def _is_final(error: IPlumError | None) -> bool:
    return isinstance(error, AccountError) and not isinstance(error, Forbidden)


def _judge_first(client: IPlumClient, error: IPlumError | None) -> Iterator[Verdict]:
    if isinstance(error, Unreachable | WrongAddress):
        yield _fail("connection", error)
        return
    yield _judge_clock(client.clock_offset)
    if error is None or isinstance(error, Forbidden | InvalidRequest):
        yield Verdict("signature", State.OK, "iPlum takes the keys and the login ID")
    else:
        yield _fail("signature", error)


def _judge_clock(offset: timedelta | None) -> Verdict:
    if offset is None:
        return Verdict("clock", State.SKIPPED, "iPlum's answer doesn't tell its time")
    seconds = abs(offset.total_seconds())
    found = f"{seconds:.0f} s {'ahead of' if offset > timedelta(0) else 'behind'} iPlum's"
    if abs(offset) > CLOCK_TOLERANCE:
        return Verdict("clock", State.FAILED, found, "Set this machine's clock (switch on NTP).")
    return Verdict("clock", State.OK, found)


def _judge_usage(answers: Mapping[str, IPlumError | None]) -> Iterator[Verdict]:
    first = next(iter(answers.values()))
    if isinstance(first, Forbidden):
        yield _fail("usage", first)
        return
    for usage_type, error in answers.items():
        if error is None:
            yield Verdict(f"usage {usage_type}", State.OK, "accepted")
        elif isinstance(error, InvalidRequest):
            yield Verdict(
                f"usage {usage_type}",
                State.WARNING,
                f"iPlum refuses it ({error.detail})",
                "Nothing: the sync goes on with the others. Take it out of IPLUM_USAGE_TYPES to hide this line.",
            )
        else:
            yield _fail(f"usage {usage_type}", error)
    if all(isinstance(error, InvalidRequest) for error in answers.values()):
        yield Verdict("usage", State.FAILED, "iPlum refuses every usage type", "Check IPLUM_USAGE_TYPES.")


def _judge_list(name: str, error: IPlumError | None) -> Verdict:
    if error is None:
        return Verdict(name, State.OK, _PERMITTED)
    if isinstance(error, Forbidden):
        return _warn(name, error)
    return _fail(name, error)


def _judge_record(name: str, error: IPlumError | None) -> Verdict:
    """Take a refusal of the record for a permission: who may not ask at all gets a 403 ("Response Codes")."""
    if error is None or isinstance(error, InvalidRequest | UnreadableResponse):
        return Verdict(name, State.OK, _PERMITTED)
    return _judge_list(name, error)


def _examine_reach(client: IPlumClient, settings: Settings, accepted: Sequence[str], *, now: datetime) -> Verdict:
    windows = list(windows_between(window_of(settings.start_date).start, now))
    asked: list[StorageWindow] = []

    def holds(window: StorageWindow) -> bool:
        asked.append(window)
        request = Window(window.start, min(window.end, now))
        try:
            return bool(client.fetch_usage(request, accepted, retry_server_errors=False).rows)
        except InvalidRequest:  # a vendor may well refuse what it no longer keeps
            return False

    try:
        earliest = find_earliest(windows, holds, questions=_QUESTIONS)
    except IPlumError as error:
        return _fail("history", error)
    if earliest is None:
        return Verdict("history", State.OK, f"no rows found since {settings.start_date}, asked {len(asked)} times")
    if earliest == windows[0]:
        found = f"reaches back to IPLUM_START_DATE ({earliest.key}), perhaps further"
        return Verdict("history", State.OK, found, "Older rows? Set an earlier IPLUM_START_DATE.")
    found = f"begins in the five days from {earliest.key}, or shortly before: what was asked for earlier is empty"
    return Verdict("history", State.OK, f"{found} (never used, or no longer kept by iPlum)")


def _warn(name: str, error: IPlumError) -> Verdict:
    fix = "Nothing, if the account has no call recording plan; the rest goes on without."
    return Verdict(name, State.WARNING, error.problem, fix)


def _fail(name: str, error: IPlumError) -> Verdict:
    found = f"{error.problem} ({error.detail})" if error.detail else error.problem
    return Verdict(name, State.FAILED, found, error.fix)
