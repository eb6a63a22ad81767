"""Two accounts in one warehouse, each by its own clock, hours and pulls."""

from datetime import date

from tests.support.mart_database import NEW_YORK, SYDNEY, MartDatabase, pull, recording, text, usage
from warehouse.snapshot.database import build_fingerprint
from warehouse.snapshot.marts import AccountSettings, MartSettings

#: Monday 22:30 in New York, and Tuesday 13:30 in Sydney, where the clocks are still in summer.
AT = "2026-03-03 02:30"
BOTH = ("default", "sydney")


def open_both() -> MartDatabase:
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


def test_each_account_has_its_own_days_and_hours() -> None:
    history = open_both()
    days = [("default", date(2026, 3, 2)), ("sydney", date(2026, 3, 3))]
    for mart in ("daily_activity", "client_daily", "credits_daily", "recording_coverage"):
        assert history.read_mart(mart, "DISTINCT account", "local_date") == days, mart
    assert history.read_mart("callback_loss", "account", "local_date") == days
    assert history.read_mart("daily_totals", "account", "local_date", "channel", "records") == [
        (*day, channel, records) for day in days for channel, records in (("call", 1), ("text", 3))
    ]
    hours = ("account", "weekday", "local_hour", "records")
    assert history.read_mart("hourly_heatmap", *hours, where="records > 0 AND channel = 'call'") == [
        ("default", 1, 21, 1),
        ("sydney", 2, 13, 1),
    ]


def test_each_account_has_its_own_business_hours() -> None:
    history = open_both()
    assert history.read_mart("user_summary", "account", "after_hours_share") == [("default", 1.0), ("sydney", 0.0)]
    waits = ("account", "block", "business_wait_seconds")
    assert history.read_mart("text_responses", *waits, where="NOT is_open") == [
        ("default", 1, 0.0),
        ("sydney", 1, 1800.0),
    ]


def test_each_account_is_known_up_to_its_own_latest_pull() -> None:
    waiting = ("account", "waiting_seconds", "waiting_business_seconds")
    assert open_both().read_mart("unanswered_texts", *waiting) == [("default", 3600.0, 0.0), ("sydney", 7200.0, 7200.0)]


def test_an_account_that_is_not_named_has_the_settings_of_the_default() -> None:
    history = MartDatabase([usage("a", AT, account="third")], settings=SYDNEY, others={"sydney": NEW_YORK})
    assert history.query("SELECT account, time_zone, lookback_days FROM publication.settings") == [
        ("third", "Australia/Sydney", 3)
    ]


def test_a_change_in_any_accounts_settings_makes_everything_anew() -> None:
    def fingerprint(**accounts: AccountSettings) -> str:
        return build_fingerprint(MartSettings(accounts=accounts))

    assert fingerprint(a=NEW_YORK, b=SYDNEY) == fingerprint(b=SYDNEY, a=NEW_YORK)
    assert len({fingerprint(a=NEW_YORK), fingerprint(a=SYDNEY), fingerprint(b=SYDNEY), fingerprint()}) == 4
