"""Marts of two accounts in one warehouse with different time zones, business hours and pulls."""

from datetime import date

from tests.support.mart_database import NEW_YORK, SYDNEY, MartDatabase, pull, recording, text, usage
from warehouse.snapshot.database import build_fingerprint
from warehouse.snapshot.marts import AccountSettings, MartSettings

#: Monday 22:30 in New York, and Tuesday 13:30 in Sydney, which is still on daylight saving time.
AT = "2026-03-03 02:30"
BOTH = ("default", "sydney")


def build_two_accounts() -> MartDatabase:
    usage_rows = [
        row
        for account in BOTH
        for row in (
            usage("a", AT, account=account, ended_at=None, origin="both"),
            text("b", AT, account=account),
            text("c", "2026-03-03 03:00", "out", account=account),
            text("d", "2026-03-03 04:00", account=account),
        )
    ]
    recordings = [recording("r", AT, account=account) for account in BOTH]
    pulls = [pull("2026-03-01", "2026-03-03 05:00"), pull("2026-03-01", "2026-03-03 06:00", account="sydney")]
    return MartDatabase(usage_rows, recordings, pulls, settings=NEW_YORK, others={"sydney": SYDNEY})


def test_days_and_hours_are_in_the_time_zone_of_the_account() -> None:
    database = build_two_accounts()
    days = [("default", date(2026, 3, 2)), ("sydney", date(2026, 3, 3))]
    for mart in ("daily_activity", "client_daily", "credits_daily", "recording_coverage"):
        assert database.read_mart(mart, "DISTINCT account", "local_date") == days, mart
    assert database.read_mart("callback_loss", "account", "local_date") == days
    assert database.read_mart("daily_totals", "account", "local_date", "channel", "records") == [
        (*day, channel, records) for day in days for channel, records in (("call", 1), ("text", 3))
    ]
    hours = ("account", "weekday", "local_hour", "records")
    assert database.read_mart("hourly_heatmap", *hours, where="records > 0 AND channel = 'call'") == [
        ("default", 1, 21, 1),
        ("sydney", 2, 13, 1),
    ]


def test_business_hours_are_those_of_the_account() -> None:
    database = build_two_accounts()
    assert database.read_mart("user_summary", "account", "after_hours_share") == [("default", 1.0), ("sydney", 0.0)]
    waits = ("account", "block", "business_wait_seconds")
    assert database.read_mart("text_responses", *waits, where="NOT is_open") == [
        ("default", 1, 0.0),
        ("sydney", 1, 1800.0),
    ]


def test_waiting_times_end_at_the_latest_pull_of_the_account() -> None:
    waiting = ("account", "waiting_seconds", "waiting_business_seconds")
    assert build_two_accounts().read_mart("unanswered_texts", *waiting) == [
        ("default", 3600.0, 0.0),
        ("sydney", 7200.0, 7200.0),
    ]


def test_an_account_without_settings_uses_the_default_settings() -> None:
    database = MartDatabase([usage("a", AT, account="third")], settings=SYDNEY, others={"sydney": NEW_YORK})
    assert database.query("SELECT account, time_zone, lookback_days FROM publication.settings") == [
        ("third", "Australia/Sydney", 3)
    ]


def test_changed_settings_of_any_account_change_the_fingerprint() -> None:
    def fingerprint(**accounts: AccountSettings) -> str:
        return build_fingerprint(MartSettings(accounts=accounts))

    assert fingerprint(a=NEW_YORK, b=SYDNEY) == fingerprint(b=SYDNEY, a=NEW_YORK)
    assert len({fingerprint(a=NEW_YORK), fingerprint(a=SYDNEY), fingerprint(b=SYDNEY), fingerprint()}) == 4
