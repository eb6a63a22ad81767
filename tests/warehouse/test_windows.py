"""Windows: they cover time without gaps, and none is wider than the five days that the API accepts."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse.windows import window_of, window_of_key, windows_between

_SINCE_1990 = st.timedeltas(timedelta(0), timedelta(days=130 * 365))
instants = _SINCE_1990.map(lambda elapsed: datetime(1990, 1, 1, tzinfo=UTC) + elapsed)


@given(instants)
def test_each_instant_is_in_exactly_one_window(instant: datetime) -> None:
    window = window_of(instant)
    assert window.start <= instant < window.end
    assert window.next().start == window.end
    assert timedelta(days=1) <= window.end - window.start <= timedelta(days=5)


@given(instants, st.timedeltas(timedelta(0), timedelta(days=400)))
def test_windows_between_two_instants_cover_them_without_gaps(since: datetime, width: timedelta) -> None:
    windows = list(windows_between(since, since + width))
    if not width:
        assert windows == []
        return
    assert windows[0].start <= since
    assert windows[-1].start < since + width <= windows[-1].end
    assert [window.next() for window in windows[:-1]] == windows[1:]


def test_windows_start_on_the_documented_days_of_each_month() -> None:
    keys = [w.key for w in windows_between(datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC))]
    assert keys == [f"2024-02-{day:02d}" for day in (1, 6, 11, 16, 21, 26)] + [
        f"2024-03-{day:02d}" for day in (1, 6, 11, 16, 21, 26, 31)
    ]


def test_an_instant_in_another_time_zone_is_in_the_window_of_its_utc_date() -> None:
    evening = datetime(2024, 3, 5, 20, tzinfo=timezone(timedelta(hours=-5)))
    assert window_of(evening).key == "2024-03-06"
    assert window_of(date(2024, 3, 5)).key == "2024-03-01"


@pytest.mark.parametrize("key", ["2024-03-02", "2024-02-30", "yesterday", ""])
def test_a_key_that_is_not_the_first_day_of_a_window_is_rejected(key: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        window_of_key(key)
