"""The settings of all property tests."""

import pytest
from hypothesis import settings


@pytest.mark.parametrize("profile", ["repeatable", "default"])
def test_no_example_has_a_time_limit(profile: str) -> None:
    """A busy machine would fail tests at random."""
    assert settings.get_profile(profile).deadline is None


def test_the_profile_in_use_has_no_time_limit() -> None:
    assert settings().deadline is None
