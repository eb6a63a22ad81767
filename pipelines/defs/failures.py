"""Conversion of errors into Dagster's `Failure`, and of failed steps into lines of text."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg

from iplum_resource.errors import IPlumError
from pipelines.settings import SettingsError
from pipelines.steps.pull_windows import WindowOutcome
from warehouse.errors import QueryFailed, WarehouseError

_SHOWN = 5


def fail_windows(dataset: str, failed: Sequence[WindowOutcome], *, left_out: int) -> dg.Failure:
    """Build the failure of a step in which windows failed; finished windows are kept."""
    reasons: dict[str, list[str]] = {}
    for outcome in failed:
        reasons.setdefault(str(outcome.error), []).append(outcome.window.key)
    lines = [f"{_format_list(keys)}: {reason}" for reason, keys in list(reasons.items())[:_SHOWN]]
    if len(reasons) > _SHOWN:
        lines.append(f"and {_format_count(len(reasons) - _SHOWN)} more for other reasons")
    if left_out:
        lines.append(f"{_format_count(left_out)} not tried")
    return dg.Failure(
        description=f"{dataset}: {_format_count(len(failed))} failed. " + " · ".join(lines),
        metadata={"windows_failed": len(failed), "windows_not_tried": left_out},
        allow_retries=False,
    )


def fail_records(dataset: str, errors: Sequence[Exception], *, left_out: int) -> dg.Failure:
    """Build the failure of an interrupted archive run; finished downloads are kept."""
    reason = str(errors[0]) if errors else "every attempted record failed at iPlum or its media host. Try again later."
    return dg.Failure(
        description=f"{dataset}: ended with {_format_count(left_out)} left. {reason}",
        metadata={"windows_left": left_out},
        allow_retries=False,
    )


@contextmanager
def failing_step(*also: type[Exception]) -> Iterator[None]:
    """Raise `WarehouseError`, and errors of the kinds `also`, as a failure with the same text (cause and fix)."""
    kinds: tuple[type[Exception], ...] = (WarehouseError, *also)
    try:
        yield
    except kinds as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error


def is_interruption(event: dg.DagsterEvent) -> bool:
    """Whether a step ended because of Ctrl-C or SIGTERM."""
    error = event.step_failure_data.error
    while error is not None and error.cls_name != "DagsterExecutionInterruptedError":
        error = error.cause
    return error is not None


def describe_failure(event: dg.DagsterEvent) -> str:
    """Describe why a step failed, in one line: our own text, or else only the kind of error.

    An unexpected error may contain a row, so its text is shown only in Dagster's history.
    """
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    innermost = error = data.error
    while error is not None:
        if known := _describe_known(error.cls_name or "", error.message):
            return f"{event.step_key}: {known}"
        innermost, error = error, error.cause
    kind = "an unknown error" if innermost is None else innermost.cls_name
    return f"{event.step_key}: {kind} in iplum itself. See its run in the Dagster UI (iplum ui)."


def _describe_known(kind: str, message: str) -> str:
    """Return the text of an error that a setting, file, disk or network caused, and an empty text for others."""
    # Dagster stores the class and the text as Python prints them: "warehouse.errors.StorageFailed: cannot read …".
    text = message.partition(": ")[2].strip()
    if kind in _list_names(WarehouseError, IPlumError, SettingsError) - {QueryFailed.__name__}:
        return text
    if kind in _list_names(OSError):
        return f"{text}. Check the disk and the folder, then run again."
    if kind == MemoryError.__name__:
        return "not enough memory. Free some, or set a lower IPLUM_CONCURRENCY, then run again."
    return ""


def _list_names(*kinds: type[Exception]) -> set[str]:
    """Return the names of these kinds of errors and of all kinds derived from them."""
    return {name for kind in kinds for name in (kind.__name__, *_list_names(*kind.__subclasses__()))}


def _format_count(windows: int) -> str:
    return "1 window" if windows == 1 else f"{windows} windows"


def _format_list(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:_SHOWN])
    return shown if len(keys) <= _SHOWN else f"{shown} and {len(keys) - _SHOWN} more"
