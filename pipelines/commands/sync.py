"""`iplum sync`: the daily sync or a sync of given days, with a progress bar."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import date
from typing import TYPE_CHECKING

import typer

from pipelines.clock import now
from pipelines.commands.failure_alert import alert_about_problems, alert_on_failure
from pipelines.commands.invocation import Account, AsJson, Since, Until, exit_on, read_accounts, read_range, write_json
from pipelines.settings import Settings
from pipelines.warehouse_folder import open_folder

if TYPE_CHECKING:
    from pipelines.runs.sync import SyncReport


def sync(since: Since = None, until: Until = None, account: Account = None, as_json: AsJson = False) -> None:
    """Sync new and missing data, then update the warehouse.

    It requests the same as the daily schedule: the current window (up to five days), the last IPLUM_LOOKBACK_DAYS
    days, and any window since IPLUM_START_DATE that is missing. With --since or --until, it requests every window in
    that range again. If it is interrupted, finished windows are kept, and the next sync continues where it stopped.

    Examples: `iplum sync` · `iplum sync --since 2024-03-01 --until 2024-04-01` · `iplum sync --json`
    """
    accounts, environ = read_accounts("sync")
    first, last = read_range(since, until)
    sync_and_show(*accounts, environ=environ, only=account, since=first, until=last, as_json=as_json)


def sync_and_show(
    *accounts: Settings,
    environ: Mapping[str, str],
    only: str | None = None,
    since: date | None = None,
    until: date | None = None,
    as_json: bool = False,
) -> None:
    """Sync with a progress bar, print the result, and exit with 1 if anything failed."""
    from pipelines.commands.progress_bar import ProgressBar
    from pipelines.runs.sync import sync as run_sync

    with alert_on_failure(accounts[0], "sync") as failures, ProgressBar() as bar:
        report = run_sync(*accounts, environ=environ, only=only, since=since, until=until, progress=bar, clock=now)
        failures += report.failures
    alert_about_problems(accounts[0], report.problems)
    if as_json:
        write_json(_to_json(report))
        exit_on(report.failures)
    else:
        _show_report(report, accounts[0])


def _to_json(report: "SyncReport") -> dict[str, object]:
    result = asdict(replace(report, problems=[]))
    result["problems"] = list(map(str, report.problems))
    for tally in result["datasets"].values():
        findings = tally.pop("findings")
        tally["differences"] = {name: findings[name] for name in ("missing", "changed")} | {"gone": findings["deleted"]}
    return result


def _show_report(report: "SyncReport", settings: Settings) -> None:
    for name, tally in report.datasets.items():
        if tally.refused:
            typer.echo(
                f"warning: iPlum refuses {name} for this account (HTTP 403): it needs a call recording plan", err=True
            )
        typer.echo(
            f"{name:<12}{tally.windows:>5} {'window ' if tally.windows == 1 else 'windows'} {tally.new:>9,} new "
            f"{tally.changed:>9,} changed"
            f"{report.rows.get(name, 0):>12,} rows in total"
        )
    if not report.datasets and not report.failures:
        typer.echo("nothing is due")
    for note in report.notes:
        typer.echo(f"note: {note}")
    for problem in report.problems:
        typer.echo(f"warning: {problem}", err=True)
    exit_on(report.failures)
    folder = open_folder(settings)
    typer.echo(f"published {folder.published}\nreport {folder.report}")
