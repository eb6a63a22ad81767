"""`iplum archive`: downloads bodies, attachments, faxes and recordings that are not verified yet."""

from datetime import timedelta

import typer

from pipelines.clock import now
from pipelines.commands.failure_alert import alert_on_failure
from pipelines.commands.invocation import (
    Account,
    AsJson,
    Since,
    Until,
    exit_on,
    format_count,
    format_minutes,
    read_accounts,
    read_range,
    write_json,
)


def archive(since: Since = None, until: Until = None, account: Account = None, as_json: AsJson = False) -> None:
    """Download message texts, attachments, faxes and recordings that are not verified yet, then publish.

    If it is interrupted, the next run continues where it stopped.

    Examples: `iplum archive` · `iplum archive --since 2024-03-01` · `iplum archive --json`
    """
    accounts, environ = read_accounts("archive")
    first, last = read_range(since, until)
    from pipelines.commands.progress_bar import ProgressBar
    from pipelines.runs.archive import archive as run_archive

    with alert_on_failure(accounts[0], "archive") as failures, ProgressBar() as bar:
        report = run_archive(
            *accounts,
            environ=environ,
            only=account,
            since=first,
            until=last,
            progress=bar,
            clock=now,
            on_start=lambda records, duration: bar.show_line(_describe_backlog(records, duration)),
        )
        failures += report.failures
    if as_json:
        names = ("table", "status", "records", "bytes")
        holdings = [dict(zip(names, row, strict=True)) for row in report.holdings]
        reasons = [dict(zip(("table", "reason", "records"), row, strict=True)) for row in report.reasons]
        write_json({"holdings": holdings, "reasons": reasons, "failures": report.failures})
        exit_on(report.failures)
        return
    for table, status, records, size in report.holdings:
        typer.echo(f"{table:<16}{status:<10}{records:>10,} records {size:>16,} bytes")
    for table, reason, records in report.reasons:
        typer.echo(f"warning: {table}: {records:,} {'record' if records == 1 else 'records'}: {reason}", err=True)
    if report.reasons:
        typer.echo("A failed record is due again after 15 minutes, then after twice as long each time, up to 16 hours.")
    if not report.holdings and not report.failures:
        typer.echo("Nothing to download. Run 'iplum sync' first.")
    exit_on(report.failures)


def _describe_backlog(records: int, duration: timedelta) -> str:
    to_download = f"{format_count(records, 'record')} to download"
    if not records:
        return to_download
    return (
        f"{to_download}: at least {format_minutes(duration)} at the set rate "
        "(IPLUM_REQUESTS_PER_SECOND). If stopped, the next call continues."
    )
