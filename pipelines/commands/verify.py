"""`iplum verify`: the proof that all of it is here, and that it is what it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.failure_alert import alert_on_failure
from pipelines.commands.invocation import (
    AccountName,
    AsJson,
    Since,
    Until,
    begin_day,
    end_with,
    now,
    open_console,
    read_accounts,
    read_range,
    write_json,
)
from pipelines.settings import Settings
from warehouse.progress import ProgressCallback

if TYPE_CHECKING:
    from pipelines.runs.sync import SyncReport

Offline = Annotated[bool, typer.Option("--offline", help="Prove what lies here, without asking iPlum.")]


def verify(
    since: Since = None,
    until: Until = None,
    offline: Offline = False,
    account: AccountName = None,
    as_json: AsJson = False,
) -> None:
    """Prove it: iPlum's records against those here, every file and body against its hash, the tables against both.

    Each window is asked for once more, whole and in halves, so that an answer that was cut off is found out. What
    was missing is kept and published. A file that is missing or damaged is marked, and 'iplum archive' fetches it
    again. Prints a line for each difference and exits with 1 when there is one.

    Examples: `iplum verify` · `iplum verify --since 2024-01-01 --until 2024-02-01` · `iplum verify --offline`
    """
    accounts, environ = read_accounts()
    first, last = read_range(since, until)
    from pipelines.commands.progress_bar import ProgressBar

    with (
        alert_on_failure(accounts[0], "verify") as differences,
        ProgressBar(open_console(stderr=True)) as bar,
    ):
        if not offline:
            from pipelines.runs.audit import audit

            report = audit(
                *accounts, environ=environ, only=account, since=first, until=last, progress=bar, clock=now
            )
            differences += [*report.failures, *_list_differences(report)]
        watch = bar.watch("archive", "windows")
        sizes = _verify_here(accounts, since=first, until=last, watch=watch, differences=differences)
    if as_json:
        write_json({"files": len(sizes), "bytes": sum(sizes), "differences": differences})
    else:
        if not offline:
            _show_audit(report)
        typer.echo(f"{len(sizes):,} files hashed, {sum(sizes):,} bytes; {len(differences):,} differences")
    end_with(differences)


def _verify_here(
    accounts: Sequence[Settings],
    *,
    since: date | None,
    until: date | None,
    watch: ProgressCallback,
    differences: list[str],
) -> list[int]:
    """Add what differs here, mark what is lost, and give the sizes of the files that were hashed."""
    from pipelines.warehouse_folder import choose_marts, open_folder
    from warehouse.archive.backlog import LostFiles, mark_lost
    from warehouse.checks.verification import Verification
    from warehouse.snapshot.publish import publish

    sizes: list[int] = []
    losses: list[LostFiles] = []
    verification = Verification(
        folder=open_folder(accounts[0]),
        settings=choose_marts(accounts),
        since=begin_day(since),
        until=begin_day(until),
        on_file=sizes.append,
        on_loss=losses.append,
        on_progress=watch,
    )
    differences.extend(map(str, verification.find_mismatches()))
    if losses:
        mark_lost(verification.folder, losses, at=now())
        publish(verification.folder, verification.settings)
    return sizes


def _show_audit(report: SyncReport) -> None:
    for name, tally in report.datasets.items():
        found = tally.differences
        refused = " (refused: no recording plan)" if tally.refused else ""
        typer.echo(
            f"{name:<12}{tally.windows:>5} windows asked for again{refused}: {found.missing:,} rows were missing, "
            f"{found.changed:,} have changed, {found.gone:,} are gone at iPlum"
        )


def _list_differences(report: SyncReport) -> Iterator[str]:
    for name, tally in report.datasets.items():
        found = tally.differences
        if found.missing:
            yield f"{name}: {found.missing:,} rows were missing here: they came with this audit and are published"
        if found.changed:
            yield f"{name}: {found.changed:,} rows have changed at iPlum since: they are up to date now"
        if found.gone:
            yield f"{name}: {found.gone:,} rows are gone at iPlum: they are kept here, with absent_since"
