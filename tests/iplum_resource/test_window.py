"""The requested time range: validation, text form, and halves."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iplum_resource.window import Window

START = datetime(2024, 1, 1, tzinfo=UTC)


def test_a_window_can_be_exactly_five_days_wide() -> None:
    window = Window(START, START + timedelta(days=5))
    assert window.width == timedelta(days=5)
    assert str(window) == "2024-01-01T00:00Z/2024-01-06T00:00Z"


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (START, START + timedelta(days=5, milliseconds=1), "five days"),
        (START, START, "after its start"),
        (START, START - timedelta(seconds=1), "after its start"),
        (START, START + timedelta(microseconds=999), "millisecond"),
        (START.replace(tzinfo=None), START + timedelta(days=1), "start must be an instant in UTC"),
        (START, (START + timedelta(days=1)).replace(tzinfo=None), "end must be an instant in UTC"),
        (START.astimezone(timezone(timedelta(hours=1))), START + timedelta(days=1), "UTC"),
    ],
)
def test_windows_that_the_api_would_reject_are_rejected(start: datetime, end: datetime, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Window(start, end)


def test_windows_are_equal_whatever_the_class_of_their_utc_time_zone() -> None:
    other = Window(START.astimezone(ZoneInfo("UTC")), START.replace(tzinfo=ZoneInfo("UTC")) + timedelta(days=1))
    assert other == Window(START, START + timedelta(days=1))
    assert other.start.tzinfo is UTC


def test_request_dates_have_the_documented_format() -> None:
    window = Window(datetime(2023, 3, 20, 2, 23, 6, tzinfo=UTC), datetime(2023, 3, 24, 2, 23, 6, 7999, tzinfo=UTC))
    assert window.request_dates == ("2023-03-20 02:23:06.000", "2023-03-24 02:23:06.007")


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (timedelta(seconds=30), "2024-01-01T00:00Z/2024-01-01T00:00:30Z"),
        (timedelta(milliseconds=30), "2024-01-01T00:00Z/2024-01-01T00:00:00.030Z"),
        (timedelta(microseconds=1030), "2024-01-01T00:00Z/2024-01-01T00:00:00.001030Z"),
    ],
)
def test_the_text_form_is_as_precise_as_needed(end: timedelta, text: str) -> None:
    assert str(Window(START, START + end)) == text


def test_the_middle_is_a_whole_second() -> None:
    first, second = Window(START, START + timedelta(seconds=5)).halves()
    assert first.end == second.start == START + timedelta(seconds=2)


def test_the_middle_of_a_narrow_window_is_a_whole_millisecond() -> None:
    first, second = Window(START + timedelta(milliseconds=100), START + timedelta(milliseconds=103)).halves()
    assert first.end == second.start == START + timedelta(milliseconds=101)


def test_a_window_that_contains_now_is_split_at_now() -> None:
    window = Window(START, START + timedelta(days=5))
    now = START + timedelta(days=1, microseconds=1234)
    assert window.halves(now)[0].end == START + timedelta(days=1, milliseconds=1)
    assert window.halves(window.end) == window.halves(window.start) == window.halves()


def test_a_window_of_one_millisecond_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="too narrow"):
        Window(START, START + timedelta(milliseconds=1)).halves()


def test_a_naive_split_time_is_rejected() -> None:
    with pytest.raises(ValueError, match="at must be an instant in UTC"):
        Window(START, START + timedelta(days=1)).halves(START.replace(tzinfo=None))


@given(
    offset=st.timedeltas(timedelta(0), timedelta(days=9000)),
    width=st.timedeltas(timedelta(milliseconds=2), timedelta(days=5)),
)
def test_the_halves_cover_the_window_without_gap_or_overlap(offset: timedelta, width: timedelta) -> None:
    window = Window(START + offset, START + offset + width)
    first, second = window.halves()
    assert (first.start, first.end, second.end) == (window.start, second.start, window.end)
    assert first.request_dates[1] == second.request_dates[0]
    assert window.request_dates == (first.request_dates[0], second.request_dates[1])
