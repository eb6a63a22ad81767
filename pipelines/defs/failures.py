"""What a failure looks like in Dagster: one place that turns our errors into its `Failure`."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from pipelines.steps.pull_windows import WindowOutcome

_SHOWN = 5


def fail_windows(dataset: str, failed: Sequence[WindowOutcome], *, left_out: int) -> dg.Failure:
    """Say which windows failed and why; those that succeeded are kept, and the next sync tries the rest."""
    reasons: dict[str, list[str]] = {}
    for outcome in failed:
        reasons.setdefault(str(outcome.error), []).append(outcome.window.key)
    lines = [f"{_list(keys)}: {reason}" for reason, keys in list(reasons.items())[:_SHOWN]]
    if len(reasons) > _SHOWN:
        lines.append(f"and {_count(len(reasons) - _SHOWN)} more for other reasons")
    if left_out:
        lines.append(f"{_count(left_out)} not tried")
    return dg.Failure(
        description=f"{dataset}: {_count(len(failed))} failed. " + " · ".join(lines),
        metadata={"windows_failed": len(failed), "windows_not_tried": left_out},
        allow_retries=False,
    )


def fail_records(dataset: str, errors: Sequence[Exception], *, left_out: int) -> dg.Failure:
    """Say why an archive run ended before its end; what was fetched is kept, and the next run goes on there."""
    reason = (
        str(errors[0]) if errors else "every record that was tried failed at iPlum or its media host; try later"
    )
    return dg.Failure(
        description=f"{dataset}: ended with {left_out} windows left. {reason}",
        metadata={"windows_left": left_out},
        allow_retries=False,
    )


def fail(error: Exception) -> dg.Failure:
    """Make a red step of an error whose text already says cause and remedy."""
    return dg.Failure(description=str(error), allow_retries=False)


def is_interruption(event: dg.DagsterEvent) -> bool:
    """Say whether a step ended because somebody stopped it, by Ctrl-C or SIGTERM."""
    error = event.step_failure_data.error
    while error is not None and error.cls_name != "DagsterExecutionInterruptedError":
        error = error.cause
    return error is not None


def describe_failure(event: dg.DagsterEvent) -> str:
    """Say in one line why a step failed: our own words where there are any, else the kind of error alone.

    An error that nobody foresaw may quote a row, so its text stays in Dagster's history.
    """
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    kind = "an unknown error" if error is None else error.cls_name
    return f"{event.step_key}: {kind} in iplum itself; its run in the Dagster UI (make ui) shows where"


def _count(windows: int) -> str:
    return "1 window" if windows == 1 else f"{windows} windows"


def _list(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:_SHOWN])
    return shown if len(keys) <= _SHOWN else f"{shown} and {len(keys) - _SHOWN} more"
