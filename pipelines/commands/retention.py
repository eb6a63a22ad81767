"""`iplum retention`: the deletion of what is old, and the record of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.invocation import AccountName, now, read_accounts
from pipelines.settings import Settings, SettingsError

if TYPE_CHECKING:
    from warehouse.raw.deletion_log import DeletionRecord

OlderThan = Annotated[
    int | None, typer.Option("--older-than", metavar="DAYS", min=1, help="Delete what is older than so many days.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would go, and delete nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask; needed where nobody can answer.")]
List = Annotated[bool, typer.Option("--list", help="Show what was deleted, and when.")]


def retention(
    older_than: OlderThan = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    show: List = False,
    account: AccountName = None,
) -> None:
    """Delete old records for good: rows, raw answers, bodies, files; a dated record of counts and hashes stays.

    A five-day window goes when all of it is old enough, but for what 'iplum hold' keeps; it is never pulled again.
    Copies elsewhere (exports, backups) are yours to delete.

    Examples: `iplum retention --older-than 2555 --dry-run` · `iplum retention --older-than 2555 --yes`
    """
    accounts, _ = read_accounts()
    from pipelines.runs.retention import carry_out, list_unfinished, plan_deletion
    from pipelines.settings.accounts_file import choose_accounts
    from pipelines.warehouse_folder import open_folder

    chosen = choose_accounts(accounts, account)
    if show:
        _show_past(chosen)
        return
    if older_than is None:
        raise SettingsError("say --older-than DAYS, or --list to see what was deleted")
    if not (dry_run or yes or sys.stdin.isatty()):
        raise SettingsError("nobody can be asked here: add --yes to delete, or --dry-run to see what would go")
    plans = [(settings, plan_deletion(settings, older_than_days=older_than, now=now())) for settings in chosen]
    for settings, deletion in plans:
        unfinished = list_unfinished(settings)
        _show_plan(deletion, dry_run=dry_run)
        if unfinished:
            typer.echo("a deletion that was stopped before its end is finished first")
        if dry_run or not (deletion.windows or deletion.inbox_events or unfinished):
            continue
        if not yes and not typer.confirm("Delete this for good?"):
            typer.echo("nothing was deleted")
            continue
        carry_out(accounts, settings, deletion, clock=now)
        typer.echo(f"deleted and published; the record is in {open_folder(settings).address}/retention")


def _show_plan(deletion: DeletionRecord, *, dry_run: bool) -> None:
    typer.echo(f"{deletion.account}: everything before {deletion.before} (UTC)")
    if dry_run:
        for key, window in deletion.windows.items():
            counts = ", ".join(f"{rows:,} {table}" for table, rows in window["rows"].items() if rows)
            typer.echo(f"  {key}  {counts or 'no rows'}, {len(window['raw']):,} raw files")
    held = deletion.held
    for table, rows in deletion.rows.items():
        typer.echo(f"  {table:<16}{rows:>10,} rows go, {held[table]:,} are held")
    typer.echo(
        f"  {len(deletion.windows):,} windows, {deletion.raw_files:,} raw files, {len(deletion.files):,} media "
        f"files, {deletion.inbox_events:,} events of the inbox"
    )


def _show_past(chosen: tuple[Settings, ...]) -> None:
    from pipelines.warehouse_folder import open_folder
    from warehouse.raw.deletion_log import load_deletion_records

    for settings in chosen:
        for one in load_deletion_records(open_folder(settings), settings.account):
            state = f"finished {one.finished_at:%Y-%m-%d %H:%M}Z" if one.finished_at else "not finished"
            typer.echo(
                f"{one.began_at:%Y-%m-%d %H:%M}Z  {one.account}  before {one.before}: "
                f"{sum(one.rows.values()):,} rows of {len(one.windows):,} windows, {one.raw_files:,} raw files, "
                f"{len(one.files) - len(one.files_kept):,} media files; {state}"
            )
