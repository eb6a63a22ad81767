"""Settings of the property tests."""

import pytest
from hypothesis import settings


@pytest.mark.parametrize("profile", ["repeatable", "default"])
def test_profiles_have_no_time_limit_per_example(profile: str) -> None:
    """With a limit, tests would fail at random on a busy machine."""
    assert settings.get_profile(profile).deadline is None


def test_the_loaded_profile_has_no_time_limit_per_example() -> None:
    assert settings().deadline is None
