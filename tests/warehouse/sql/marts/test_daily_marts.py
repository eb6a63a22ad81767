"""Marts by day and hour: clock changes, days without records, mirrored pairs and nulls."""

from datetime import date, timedelta

import pytest

from tests.support.mart_database import ANN, BOB, MartDatabase, text, usage, utc


def day(text: str) -> date:
    return date.fromisoformat(text)


def test_days_start_at_local_midnight() -> None:
    database = MartDatabase(
        [
            usage("a", "2026-03-02 04:59:59"),  # March 1, 23:59:59 in New York
            usage("b", "2026-03-02 05:00:00"),
            usage("c", "2026-03-02 05:00:00", direction="out", counterparty="+14085550101", duration_minutes=None),
            text("t", "2026-03-02 05:00:01", credits=None),
        ]
    )
    columns = ("local_date", "channel", "direction", "records", "minutes", "credits", "counterparties")
    assert database.read_mart("daily_activity", *columns) == [
        (day("2026-03-01"), "call", "in", 1, 2.0, 1.0, 1),
        (day("2026-03-02"), "call", "in", 1, 2.0, 1.0, 1),
        (day("2026-03-02"), "call", "out", 1, None, 1.0, 1),
        (day("2026-03-02"), "text", "in", 1, None, None, 1),
    ]


def test_days_without_records_are_listed_with_zeros() -> None:
    database = MartDatabase([usage("a", "2026-03-01 12:00"), text("t", "2026-03-03 12:00", credits=None)])
    columns = ("local_date", "channel", "records", "minutes", "credits", "users", "counterparties")
    assert database.read_mart("daily_totals", *columns) == [
        (day("2026-03-01"), "call", 1, 2.0, 1.0, 1, 1),
        (day("2026-03-01"), "text", 0, None, 0.0, 0, 0),
        (day("2026-03-02"), "call", 0, 0.0, 0.0, 0, 0),
        (day("2026-03-02"), "text", 0, None, 0.0, 0, 0),
        (day("2026-03-03"), "call", 0, 0.0, 0.0, 0, 0),
        (day("2026-03-03"), "text", 1, None, None, 1, 1),
    ]


@pytest.mark.parametrize(
    ("first", "last", "hours", "skipped"),
    [("2026-03-08 05:00", "2026-03-09 03:59:59", 23, {2}), ("2026-11-01 04:00", "2026-11-02 04:59:59", 25, set())],
)
def test_a_day_with_23_or_25_hours_is_one_day(first: str, last: str, hours: int, skipped: set[int]) -> None:
    starts = [utc(first) + timedelta(hours=step) for step in range(hours)]
    assert starts[-1] < utc(last)
    database = MartDatabase([usage(f"{index}", f"{at:%Y-%m-%d %H:%M}") for index, at in enumerate(starts)])
    assert database.read_mart("daily_totals", "records") == [(hours,)]
    records = dict(database.read_mart("hourly_heatmap", "local_hour", "records", where="weekday = 7"))
    repeated = {1} if hours == 25 else set()
    assert records == {hour: 0 if hour in skipped else 2 if hour in repeated else 1 for hour in range(24)}


def internal(record_id: str, start: str, direction: str, **changes: object) -> dict[str, object]:
    user, other = (ANN, BOB) if direction == "out" else (BOB, ANN)
    return text(record_id, start, direction, user_id=user, counterparty=other, type="iplum", **changes)


def totals(*rows: dict[str, object]) -> list[tuple[object, ...]]:
    columns = ("sum(records)", "sum(mirrored_pairs)", "sum(credits)", "max(users)")
    return MartDatabase(rows).query(f"SELECT {', '.join(columns)} FROM marts.daily_totals")


def test_a_text_between_two_users_counts_once() -> None:
    assert totals(internal("a", "2026-03-02 12:00:00", "out"), internal("b", "2026-03-02 12:00:05", "in")) == [
        (1, 1, 2.0, 2)
    ]


def test_the_inbound_record_of_a_pair_may_be_earlier() -> None:
    assert totals(internal("a", "2026-03-02 12:00:04", "out"), internal("b", "2026-03-02 12:00:00", "in"))[0][0] == 1


def test_records_six_seconds_apart_are_not_a_pair() -> None:
    rows = totals(internal("a", "2026-03-02 12:00:00", "out"), internal("b", "2026-03-02 12:00:06", "in"))
    assert rows == [(2, 0, 2.0, 2)]


def test_pairs_within_the_same_seconds_are_all_matched() -> None:
    rows = [
        internal(f"{direction}-{index}", f"2026-03-02 12:00:0{index // 2}", direction)
        for direction in ("out", "in")
        for index in range(6)
    ]
    assert totals(*rows)[0][:2] == (6, 6)


@pytest.mark.parametrize("missing", [(0, 1), (0, 4), (1, 3), (3, 4), (2,), ()])
def test_pairs_are_matched_correctly_if_some_inbound_records_are_missing(missing: tuple[int, ...]) -> None:
    outs = [internal(f"out-{n}", f"2026-03-02 12:00:{n * 4:02d}", "out") for n in range(5)]
    ins = [internal(f"in-{n}", f"2026-03-02 12:00:{n * 4:02d}", "in") for n in range(5) if n not in missing]
    assert totals(*outs, *ins)[0][:2] == (5, 5 - len(missing))


def test_two_records_of_the_same_user_are_not_a_pair() -> None:
    rows = [
        text("a", "2026-03-02 12:00:00", "out", from_party=ANN, to_party=BOB, counterparty=BOB),
        text("b", "2026-03-02 12:00:00", "in", from_party=ANN, to_party=BOB, counterparty=ANN),
    ]
    assert totals(*rows)[0][:2] == (2, 0)


def test_a_pair_of_internal_numbers_across_midnight_counts_once() -> None:
    parties = {"from_party": "+13035550100", "to_party": "+13035550101"}
    rows = [
        text("a", "2026-03-02 04:59:58", "out", user_id=ANN, counterparty="+13035550101", **parties),
        text("b", "2026-03-02 05:00:01", "in", user_id=BOB, counterparty="+13035550100", **parties),
    ]
    database = MartDatabase(rows)
    assert database.read_mart("daily_totals", "local_date", "records", "mirrored_pairs") == [
        (day("2026-03-01"), 1, 0),
        (day("2026-03-02"), 0, 1),
    ]
    assert database.query("SELECT sum(records) FROM marts.daily_activity") == [(2,)]


def test_heatmap_shares_are_per_channel() -> None:
    database = MartDatabase(
        [
            usage("a", "2026-03-02 15:00"),
            usage("b", "2026-03-02 16:00"),
            text("t", "2026-03-02 15:30"),
            usage("x", None),
        ]
    )
    columns = ("channel", "weekday", "local_hour", "records", "round(share, 4)")
    assert database.read_mart("hourly_heatmap", *columns, where="records > 0") == [
        ("call", 1, 10, 1, 0.3333),
        ("call", 1, 11, 1, 0.3333),
        ("call", None, None, 1, 0.3333),
        ("text", 1, 10, 1, 1.0),
    ]
    assert database.query("SELECT count(*) FROM marts.hourly_heatmap") == [(2 * 7 * 24 + 1,)]


def test_records_without_a_start_are_in_a_row_without_a_date() -> None:
    database = MartDatabase([usage("a", None), usage("b", "2026-03-02 12:00")])
    assert database.read_mart("daily_totals", "local_date", "records") == [(day("2026-03-02"), 1), (None, 1)]
    assert database.read_mart("credits_daily", "local_date", "records", "mean_28d") == [
        (day("2026-03-02"), 1, None),
        (None, 1, None),
    ]


def test_client_daily_groups_by_client_reference() -> None:
    database = MartDatabase(
        [
            usage("a", "2026-03-02 12:00", client_reference_id="x", credits=0.0),
            usage("b", "2026-03-02 13:00", client_reference_id="x", credits=None, duration_minutes=3.0),
            usage("c", "2026-03-02 12:00", credits=None),
        ]
    )
    columns = ("client_reference_id", "records", "minutes", "credits")
    assert database.read_mart("client_daily", *columns) == [("x", 2, 5.0, 0.0), (None, 1, 2.0, None)]


def test_robust_z_is_computed_after_28_days_and_null_without_spread() -> None:
    rows = [usage(f"{index}", f"2026-03-{index:02d} 15:00", credits=float(10 + index % 3)) for index in range(1, 29)]
    rows += [usage("last", "2026-03-29 15:00", credits=41.0)]
    database = MartDatabase(rows)
    columns = ("credits", "round(mean_28d, 4)", "round(robust_z, 4)")
    assert database.read_mart("credits_daily", *columns, where="mean_28d IS NOT NULL") == [(41.0, 11.0, 20.2347)]
    flat = MartDatabase([usage(f"{index}", f"2026-03-{index:02d} 15:00") for index in range(1, 30)])
    assert flat.read_mart("credits_daily", "robust_z", where="mean_28d IS NOT NULL") == [(None,)]


def test_credits_are_zero_without_records_and_null_if_unknown() -> None:
    database = MartDatabase([usage("a", "2026-03-01 12:00"), usage("b", "2026-03-03 12:00", credits=None)])
    assert database.read_mart("credits_daily", "local_date", "credits") == [
        (day("2026-03-01"), 1.0),
        (day("2026-03-02"), 0.0),
        (day("2026-03-03"), None),
    ]


def test_rounding_of_sums_does_not_affect_robust_z() -> None:
    orders = [(0.1, 0.2, 0.3), (0.3, 0.2, 0.1), (0.2, 0.3, 0.1)]
    rows = [
        usage(f"{number}-{place}", f"2026-03-{number + 1:02d} 17:0{place}", credits=price)
        for number in range(31)
        for place, price in enumerate(orders[number % 3])
    ]
    database = MartDatabase(rows)
    assert database.query("SELECT count(*) FROM marts.credits_daily WHERE robust_z IS NOT NULL") == [(0,)]
    assert database.query("SELECT DISTINCT credits FROM marts.credits_daily") == [(0.6,)]
