"""Parsing of business hours, such as `mon-fri 09:00-17:00`."""

import pytest

from warehouse.snapshot.business_hours import OpenInterval, parse_business_hours

NINE, FIVE = 9 * 60, 17 * 60


def list_intervals(text: str) -> list[tuple[int, int, int]]:
    return [(interval.weekday, interval.opens, interval.closes) for interval in parse_business_hours(text)]


def test_days_are_single_or_ranges_and_parts_are_merged() -> None:
    assert list_intervals("mon-wed 09:00-17:00") == [(day, NINE, FIVE) for day in (1, 2, 3)]
    assert list_intervals("Sun 09:00-12:00, sun 14:00-17:00") == [(7, NINE, 720), (7, 840, FIVE)]
    assert list_intervals("mon 09:00-13:00,mon 12:00-17:00") == [(1, NINE, FIVE)]


def test_ranges_may_cross_the_end_of_the_week_and_midnight() -> None:
    assert list_intervals("sat-mon 09:00-17:00") == [(1, NINE, FIVE), (6, NINE, FIVE), (7, NINE, FIVE)]
    assert list_intervals("sun 22:00-06:00") == [(1, 0, 360), (7, 1320, 1440)]
    assert list_intervals("tue 00:00-24:00") == [(2, 0, 1440)]
    assert parse_business_hours("tue 00:00-24:00") == (OpenInterval(2, 0, 1440),)


@pytest.mark.parametrize(
    "text",
    ["", "9-17", "mon-fri", "mon-fri 9:00-17:00", "mon 09:00-09:00", "mon 24:00-05:00", "moo 09:00-17:00",
     "mon 09:60-17:00", "mon 09:00-24:01", "mon-fri 09:00-17:00,"],
)  # fmt: skip
def test_an_invalid_setting_is_rejected_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="mon-fri 09:00-17:00"):
        parse_business_hours(text)
