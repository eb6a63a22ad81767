"""Error classes of the client: messages, copies and documentation."""

import copy
import inspect
import pickle
from datetime import UTC, datetime, timedelta

import pytest

from iplum_resource import errors

REQUEST = "POST /usage/getusage for 2024-01-01T00:00Z/2024-01-06T00:00Z"
AT = datetime(2024, 1, 1, 12, tzinfo=UTC)
KINDS = {
    name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, errors.IPlumError)
}
WITH_ARGUMENTS = [
    errors.WrongClock(REQUEST, timedelta(hours=-1)),
    errors.InvalidRequest(REQUEST, "ERR_INVALID_REQUEST"),
    errors.InvalidDate(REQUEST, None),
    errors.RateLimited(REQUEST, AT),
    errors.ServerFailed(REQUEST, 503, AT),
]
ALL = [
    *WITH_ARGUMENTS,
    *(kind(REQUEST) for kind in KINDS.values() if kind not in {type(error) for error in WITH_ARGUMENTS}),
]


def test_the_docstring_lists_all_errors() -> None:
    docstring = inspect.getdoc(errors) or ""
    documented = [line.split("──")[-1].split()[0] for line in docstring.splitlines() if "──" in line]
    assert sorted(documented) == sorted(set(KINDS) - {"IPlumError"})
    assert all(
        issubclass(KINDS[name], errors.AccountError | errors.WindowError | errors.UnreadableCallback)
        for name in documented
    )


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_the_message_states_the_request_the_problem_and_the_fix(error: errors.IPlumError) -> None:
    text = str(error)
    assert text.startswith(f"{REQUEST}: {error.problem}")
    assert text.endswith(error.fix)
    assert error.detail in text


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_errors_can_be_copied_and_pickled(error: errors.IPlumError) -> None:
    for duplicate in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301 - bytes made in this test
        assert type(duplicate) is type(error)
        assert str(duplicate) == str(error)
        assert vars(duplicate) == vars(error)


def test_a_wrong_clock_error_states_the_offset() -> None:
    assert "3600 s behind" in str(errors.WrongClock(REQUEST, timedelta(hours=-1)))
    assert "150 s ahead of" in str(errors.WrongClock(REQUEST, timedelta(seconds=150)))


def test_an_unauthorized_error_names_the_page_where_api_access_is_enabled() -> None:
    text = str(errors.Unauthorized(REQUEST))
    assert "https://my.iplum.com" in text
    assert "API & Call Backs" in text
