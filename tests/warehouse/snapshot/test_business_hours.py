"""Business hours as an owner writes them."""

import pytest

from warehouse.snapshot.business_hours import OpenInterval, parse_business_hours

NINE, FIVE = 9 * 60, 17 * 60


def stretches(text: str) -> list[tuple[int, int, int]]:
    return [(one.weekday, one.opens, one.closes) for one in parse_business_hours(text)]


def test_days_are_a_range_or_one_and_parts_add_up() -> None:
    assert stretches("mon-wed 09:00-17:00") == [(day, NINE, FIVE) for day in (1, 2, 3)]
    assert stretches("Sun 09:00-12:00, sun 14:00-17:00") == [(7, NINE, 720), (7, 840, FIVE)]
    assert stretches("mon 09:00-13:00,mon 12:00-17:00") == [(1, NINE, FIVE)]


def test_ranges_go_over_the_end_of_the_week_and_of_the_day() -> None:
    assert stretches("sat-mon 09:00-17:00") == [(1, NINE, FIVE), (6, NINE, FIVE), (7, NINE, FIVE)]
    assert stretches("sun 22:00-06:00") == [(1, 0, 360), (7, 1320, 1440)]
    assert stretches("tue 00:00-24:00") == [(2, 0, 1440)]
    assert parse_business_hours("tue 00:00-24:00") == (OpenInterval(2, 0, 1440),)


@pytest.mark.parametrize(
    "text",
    ["", "9-17", "mon-fri", "mon-fri 9:00-17:00", "mon 09:00-09:00", "mon 24:00-05:00", "moo 09:00-17:00",
     "mon 09:60-17:00", "mon 09:00-24:01", "mon-fri 09:00-17:00,"],
)  # fmt: skip
def test_what_does_not_read_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match="mon-fri 09:00-17:00"):
        parse_business_hours(text)
