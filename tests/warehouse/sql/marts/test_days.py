"""Marts by day and hour: clock changes, holes, pairs seen twice, nulls."""

from datetime import date

import pytest

from tests.support.mart_database import ANN, BOB, MartDatabase, text, usage


def day(text: str) -> date:
    return date.fromisoformat(text)


def test_a_day_begins_and_ends_by_the_local_clock() -> None:
    history = MartDatabase(
        [
            usage("a", "2026-03-02 04:59:59"),  # 23:59:59 on the first in New York
            usage("b", "2026-03-02 05:00:00"),
            usage("c", "2026-03-02 05:00:00", direction="out", counterparty="+14085550101", duration_minutes=None),
            text("t", "2026-03-02 05:00:01", credits=None),
        ]
    )
    columns = ("local_date", "channel", "direction", "records", "minutes", "credits", "counterparties")
    assert history.read_mart("daily_activity", *columns) == [
        (day("2026-03-01"), "call", "in", 1, 2.0, 1.0, 1),
        (day("2026-03-02"), "call", "in", 1, 2.0, 1.0, 1),
        (day("2026-03-02"), "call", "out", 1, None, 1.0, 1),
        (day("2026-03-02"), "text", "in", 1, None, None, 1),
    ]


def test_an_empty_day_is_there_with_zeros() -> None:
    history = MartDatabase([usage("a", "2026-03-01 12:00"), text("t", "2026-03-03 12:00", credits=None)])
    columns = ("local_date", "channel", "records", "minutes", "credits", "users", "counterparties")
    assert history.read_mart("daily_totals", *columns) == [
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
def test_a_day_of_23_or_25_hours_is_one_day(first: str, last: str, hours: int, skipped: set[int]) -> None:
    from datetime import timedelta

    from tests.support.mart_database import utc

    starts = [utc(first) + timedelta(hours=step) for step in range(hours)]
    assert starts[-1] < utc(last)
    history = MartDatabase([usage(f"{index}", f"{at:%Y-%m-%d %H:%M}") for index, at in enumerate(starts)])
    assert history.read_mart("daily_totals", "records") == [(hours,)]
    seen = dict(history.read_mart("hourly_heatmap", "local_hour", "records", where="weekday = 7"))
    doubled = {1} if hours == 25 else set()
    assert seen == {hour: 0 if hour in skipped else 2 if hour in doubled else 1 for hour in range(24)}


def internal(record_id: str, start: str, direction: str, **changes: object) -> dict[str, object]:
    user, other = (ANN, BOB) if direction == "out" else (BOB, ANN)
    return text(record_id, start, direction, user_id=user, counterparty=other, type="iplum", **changes)


def totals(*rows: dict[str, object]) -> list[tuple[object, ...]]:
    columns = ("sum(records)", "sum(mirrored_pairs)", "sum(credits)", "max(users)")
    return MartDatabase(rows).query(f"SELECT {', '.join(columns)} FROM marts.daily_totals")


def test_a_conversation_between_two_users_counts_once() -> None:
    assert totals(internal("a", "2026-03-02 12:00:00", "out"), internal("b", "2026-03-02 12:00:05", "in")) == [
        (1, 1, 2.0, 2)
    ]


def test_the_inbound_side_may_be_listed_first() -> None:
    assert totals(internal("a", "2026-03-02 12:00:04", "out"), internal("b", "2026-03-02 12:00:00", "in"))[0][0] == 1


def test_six_seconds_apart_are_two() -> None:
    rows = totals(internal("a", "2026-03-02 12:00:00", "out"), internal("b", "2026-03-02 12:00:06", "in"))
    assert rows == [(2, 0, 2.0, 2)]


def test_a_burst_of_pairs_is_halved_also_where_all_are_in_one_second() -> None:
    rows = [
        internal(f"{direction}-{index}", f"2026-03-02 12:00:0{index // 2}", direction)
        for direction in ("out", "in")
        for index in range(6)
    ]
    assert totals(*rows)[0][:2] == (6, 6)


@pytest.mark.parametrize("lost", [(0, 1), (0, 4), (1, 3), (3, 4), (2,), ()])
def test_of_a_long_burst_any_copies_may_be_missing(lost: tuple[int, ...]) -> None:
    outs = [internal(f"out-{n}", f"2026-03-02 12:00:{n * 4:02d}", "out") for n in range(5)]
    ins = [internal(f"in-{n}", f"2026-03-02 12:00:{n * 4:02d}", "in") for n in range(5) if n not in lost]
    assert totals(*outs, *ins)[0][:2] == (5, 5 - len(lost))


def test_the_same_user_twice_is_no_pair() -> None:
    rows = [
        text("a", "2026-03-02 12:00:00", "out", from_party=ANN, to_party=BOB, counterparty=BOB),
        text("b", "2026-03-02 12:00:00", "in", from_party=ANN, to_party=BOB, counterparty=ANN),
    ]
    assert totals(*rows)[0][:2] == (2, 0)


def test_a_pair_over_midnight_and_an_own_number_as_party() -> None:
    one = {"from_party": "+13035550100", "to_party": "+13035550101"}
    rows = [
        text("a", "2026-03-02 04:59:58", "out", user_id=ANN, counterparty="+13035550101", **one),
        text("b", "2026-03-02 05:00:01", "in", user_id=BOB, counterparty="+13035550100", **one),
    ]
    history = MartDatabase(rows)
    assert history.read_mart("daily_totals", "local_date", "records", "mirrored_pairs") == [
        (day("2026-03-01"), 1, 0),
        (day("2026-03-02"), 0, 1),
    ]
    assert history.query("SELECT sum(records) FROM marts.daily_activity") == [(2,)]


def test_the_share_of_an_hour_is_of_its_channel() -> None:
    history = MartDatabase(
        [
            usage("a", "2026-03-02 15:00"),
            usage("b", "2026-03-02 16:00"),
            text("t", "2026-03-02 15:30"),
            usage("x", None),
        ]
    )
    columns = ("channel", "weekday", "local_hour", "records", "round(share, 4)")
    assert history.read_mart("hourly_heatmap", *columns, where="records > 0") == [
        ("call", 1, 10, 1, 0.3333),
        ("call", 1, 11, 1, 0.3333),
        ("call", None, None, 1, 0.3333),
        ("text", 1, 10, 1, 1.0),
    ]
    assert history.query("SELECT count(*) FROM marts.hourly_heatmap") == [(2 * 7 * 24 + 1,)]


def test_records_without_a_start_have_a_row_of_their_own() -> None:
    history = MartDatabase([usage("a", None), usage("b", "2026-03-02 12:00")])
    assert history.read_mart("daily_totals", "local_date", "records") == [(day("2026-03-02"), 1), (None, 1)]
    assert history.read_mart("credits_daily", "local_date", "records", "mean_28d") == [
        (day("2026-03-02"), 1, None),
        (None, 1, None),
    ]


def test_a_client_is_billed_by_its_reference() -> None:
    history = MartDatabase(
        [
            usage("a", "2026-03-02 12:00", client_reference_id="x", credits=0.0),
            usage("b", "2026-03-02 13:00", client_reference_id="x", credits=None, duration_minutes=3.0),
            usage("c", "2026-03-02 12:00", credits=None),
        ]
    )
    columns = ("client_reference_id", "records", "minutes", "credits")
    assert history.read_mart("client_daily", *columns) == [("x", 2, 5.0, 0.0), (None, 1, 2.0, None)]


def test_an_unusual_day_stands_out_once_there_are_four_weeks_before_it() -> None:
    rows = [usage(f"{index}", f"2026-03-{index:02d} 15:00", credits=float(10 + index % 3)) for index in range(1, 29)]
    rows += [usage("last", "2026-03-29 15:00", credits=41.0)]
    history = MartDatabase(rows)
    columns = ("credits", "round(mean_28d, 4)", "round(robust_z, 4)")
    assert history.read_mart("credits_daily", *columns, where="mean_28d IS NOT NULL") == [(41.0, 11.0, 20.2347)]
    flat = MartDatabase([usage(f"{index}", f"2026-03-{index:02d} 15:00") for index in range(1, 30)])
    assert flat.read_mart("credits_daily", "robust_z", where="mean_28d IS NOT NULL") == [(None,)]


def test_a_day_without_records_costs_nothing_and_one_without_figures_is_unknown() -> None:
    history = MartDatabase([usage("a", "2026-03-01 12:00"), usage("b", "2026-03-03 12:00", credits=None)])
    assert history.read_mart("credits_daily", "local_date", "credits") == [
        (day("2026-03-01"), 1.0),
        (day("2026-03-02"), 0.0),
        (day("2026-03-03"), None),
    ]


def test_the_order_of_summing_makes_no_day_unusual() -> None:
    orders = [(0.1, 0.2, 0.3), (0.3, 0.2, 0.1), (0.2, 0.3, 0.1)]
    rows = [
        usage(f"{number}-{place}", f"2026-03-{number + 1:02d} 17:0{place}", credits=price)
        for number in range(31)
        for place, price in enumerate(orders[number % 3])
    ]
    history = MartDatabase(rows)
    assert history.query("SELECT count(*) FROM marts.credits_daily WHERE robust_z IS NOT NULL") == [(0,)]
    assert history.query("SELECT DISTINCT credits FROM marts.credits_daily") == [(0.6,)]
