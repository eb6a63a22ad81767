"""Whether somebody would be told of a failure."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.alerts import Alert, AlertFailed, send_alert
from pipelines.doctor.verdict import State, Verdict
from pipelines.settings import Settings


def examine_alerts(settings: Settings, *, trying: bool) -> Iterator[Verdict]:
    """Say whether alerts are on, where they are; with `trying`, send one that says it is a trial."""
    hours = settings.alerts.after.total_seconds() / 3600
    if not settings.alerts.is_on:
        if trying:
            remedy = "Set IPLUM_ALERT_WEBHOOK, or IPLUM_ALERT_SMTP, _FROM and _TO."
            yield Verdict("alerts", State.WRONG, "nobody is named to be told", remedy)
        return
    if not trying:
        found = f"failures are told, and data older than {hours:g} h; 'iplum doctor --try-alert' sends one"
        yield Verdict("alerts", State.OK, found)
        return
    trial = Alert(f"iPlum warehouse, account {settings.account}: a trial", "Nothing failed: alerts arrive here.")
    try:
        send_alert(trial, settings.alerts)
    except AlertFailed as error:
        found, _, remedy = str(error).partition("; ")
        yield Verdict("alerts", State.FAILED, found, remedy)
    else:
        yield Verdict("alerts", State.OK, "a trial was sent; see that it arrived")
