"""The line for a failed step: never "in iplum itself" for what a user, file or network can cause."""

import dagster as dg
import pytest

from iplum_resource.errors import Unreachable
from pipelines.defs.failures import describe_failure
from pipelines.settings import SettingsError
from warehouse.errors import FolderRefused, QueryFailed, StorageFailed


def fail_step(error: BaseException) -> str:
    """Return the line for a step that raises `error`."""

    @dg.op
    def step() -> None:
        raise error

    @dg.job
    def job() -> None:
        step()

    result = job.execute_in_process(raise_on_error=False)
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return describe_failure(event)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (StorageFailed("cannot write /data", "the disk is full", "Free some space"), "cannot write /data: the disk is"),
        (
            FolderRefused("cannot open /data", "it is a link", "Remove it"),
            "cannot open /data: it is a link. Remove it.",
        ),
        (SettingsError("IPLUM_LANG must be a language"), "IPLUM_LANG must be a language"),
        (Unreachable("POST /usage", "no route"), "POST /usage"),
        (FileNotFoundError(2, "No such file", "/data/locks"), "[Errno 2] No such file: '/data/locks'. Check the disk"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device. Check the disk"),
        (MemoryError(), "not enough memory. Free some"),
        (ValueError("a row's content"), "ValueError in iplum itself"),
        (QueryFailed("a row's content"), "QueryFailed in iplum itself"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_failed_step_names_the_cause_and_the_fix(error: Exception, line: str) -> None:
    shown = fail_step(error)
    assert shown.startswith("step: ")
    assert line in shown
    assert ("itself" in shown) is ("itself" in line)
    assert "content" not in shown


def test_an_error_raised_from_another_is_named_by_the_outer_text() -> None:
    error = StorageFailed("cannot write /data", "the disk is full", "Free some space")
    error.__cause__ = OSError(28, "No space left on device")
    assert fail_step(error) == "step: cannot write /data: the disk is full. Free some space."
