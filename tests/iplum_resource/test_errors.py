import copy
import inspect
import pickle
from datetime import UTC, datetime, timedelta

import pytest

from iplum_resource import errors

REQUEST = "POST /usage/getusage for 2024-01-01T00:00Z/2024-01-06T00:00Z"
AT = datetime(2024, 1, 1, 12, tzinfo=UTC)
TREE = {
    name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, errors.IPlumError)
}
SPECIAL = [
    errors.WrongClock(REQUEST, timedelta(hours=-1)),
    errors.InvalidRequest(REQUEST, "ERR_INVALID_REQUEST"),
    errors.InvalidDate(REQUEST, None),
    errors.RateLimited(REQUEST, AT),
    errors.ServerFailed(REQUEST, 503, AT),
]
ALL = [*SPECIAL, *(kind(REQUEST) for kind in TREE.values() if kind not in {type(error) for error in SPECIAL})]


def test_the_tree_is_drawn_in_the_docstring() -> None:
    drawing = inspect.getdoc(errors) or ""
    drawn = [line.split("──")[-1].split()[0] for line in drawing.splitlines() if "──" in line]
    assert sorted(drawn) == sorted(set(TREE) - {"IPlumError"})
    assert all(
        issubclass(TREE[name], errors.AccountError | errors.WindowError | errors.UnreadableCallback) for name in drawn
    )


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_says_to_which_request_what_happened_and_what_to_do(error: errors.IPlumError) -> None:
    text = str(error)
    assert text.startswith(f"{REQUEST}: {error.problem}")
    assert text.endswith(error.fix)
    assert error.detail in text


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_copies_and_pickles(error: errors.IPlumError) -> None:
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301 - our own bytes
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


def test_a_wrong_clock_says_by_how_much() -> None:
    assert "3600 s behind" in str(errors.WrongClock(REQUEST, timedelta(hours=-1)))
    assert "150 s ahead of" in str(errors.WrongClock(REQUEST, timedelta(seconds=150)))


def test_a_refused_key_says_where_the_api_is_switched_on() -> None:
    text = str(errors.Unauthorized(REQUEST))
    assert "https://my.iplum.com" in text
    assert "API & Call Backs" in text
