"""Totals of marts: for random records, each record counts exactly once."""

from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

from tests.support.mart_database import ANN, BOB, CLIENT, MartDatabase, usage, utc

# Times near the repeated hour in New York, both seconds and days apart, so that mirrored pairs, ties and threads occur.
_STARTS = st.builds(
    lambda hours, seconds: utc("2026-11-01 04:30") + timedelta(hours=hours, seconds=seconds),
    st.integers(-30, 30),
    st.integers(0, 9),
)
_RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "started_at": st.none() | _STARTS,
            "channel": st.sampled_from(["call", "text", "fax", "video", None]),
            "direction": st.sampled_from(["in", "out", None]),
            "user_id": st.sampled_from([ANN, BOB, None]),
            "counterparty": st.sampled_from([ANN, BOB, CLIENT, "", None]),
            "credits": st.none() | st.integers(0, 5).map(float),
            "client_reference_id": st.sampled_from(["1", None]),
            "account": st.sampled_from(["default", "other"]),
        }
    ),
    max_size=12,
)
_COUNTED = {
    "daily_activity": "records",
    "daily_totals": "records + mirrored_pairs",
    "hourly_heatmap": "records",
    "user_summary": "records",
    "client_daily": "records",
    "credits_daily": "records",
}


@given(_RECORDS)
@settings(max_examples=8, deadline=None)
def test_each_record_counts_once_and_credits_sum_to_those_of_the_table(records: list[dict[str, Any]]) -> None:
    rows = [usage(f"r{number}", None, **record) for number, record in enumerate(records)]
    database = MartDatabase(rows)
    for mart, counted in _COUNTED.items():
        assert database.query(f"SELECT coalesce(sum({counted}), 0) FROM marts.{mart}") == [(len(rows),)], mart
    total = sum(row["credits"] or 0 for row in rows)
    for mart in ("daily_activity", "user_summary", "client_daily", "credits_daily"):
        assert database.query(f"SELECT coalesce(sum(credits), 0) FROM marts.{mart}") == [(total,)], mart
    database.connection.close()


def test_sums_of_credits_are_exact() -> None:
    """With binary fractions, ten times 0.1 is 0.9999999999999999."""
    rows = [usage(f"r{number}", "2026-11-02 15:00", credits=0.1, client_reference_id="1") for number in range(10)]
    database = MartDatabase(rows)
    for mart in ("daily_activity", "daily_totals", "user_summary", "contacts", "client_daily", "credits_daily"):
        assert database.query(f"SELECT max(credits) FROM marts.{mart}") == [(1.0,)], mart
    database.connection.close()
