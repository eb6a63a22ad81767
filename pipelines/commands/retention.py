"""`iplum retention`: deletion of old records, and the list of past deletions."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.clock import now
from pipelines.commands.invocation import Account, format_count, read_accounts
from pipelines.settings import Settings, SettingsError
from pipelines.warehouse_folder import open_folder

if TYPE_CHECKING:
    from warehouse.raw.deletion_log import DeletionRecord

OlderThan = Annotated[
    int | None, typer.Option("--older-than", metavar="DAYS", min=1, help="Delete records older than DAYS days.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted, and delete nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation. Without a terminal, --yes is required.")]
List = Annotated[bool, typer.Option("--list", help="List past deletions.")]


def retention(
    older_than: OlderThan = None, dry_run: DryRun = False, yes: Yes = False, show: List = False, account: Account = None
) -> None:
    """Delete old records permanently: rows, raw responses, message texts and files.

    A window (up to five days) is deleted when all of its days are old enough, and is never requested again. Records
    under a legal hold are kept. A dated deletion record (counts and hashes) is kept. Delete copies elsewhere (exports,
    backups) yourself.

    Examples: `iplum retention --older-than 2555 --dry-run` · `iplum retention --older-than 2555 --yes`
    """
    accounts, _ = read_accounts()
    from pipelines.runs.retention import carry_out, list_unfinished, plan_deletion
    from pipelines.settings import choose_accounts

    chosen = choose_accounts(accounts, account)
    if show:
        _show_records(chosen)
        return
    if older_than is None:
        raise SettingsError("give --older-than DAYS, or --list to see past deletions")
    if not (dry_run or yes or sys.stdin.isatty()):
        raise SettingsError("not run from a terminal: add --yes to delete, or --dry-run to see what would be deleted")
    plans = [(settings, plan_deletion(settings, older_than_days=older_than, now=now())) for settings in chosen]
    for settings, deletion in plans:
        unfinished = list_unfinished(settings)
        _show_plan(deletion, dry_run=dry_run)
        for one in unfinished:
            typer.echo(f"An interrupted deletion is finished first: before {one.before}, {len(one.windows):,} windows.")
        if dry_run or not (deletion.windows or deletion.files or deletion.inbox_events or unfinished):
            continue
        if not yes and not typer.confirm("Delete this permanently?"):
            typer.echo("Nothing was deleted.")
            continue
        carry_out(accounts, settings, deletion, clock=now)
        typer.echo(f"Deleted and published. The deletion record is in {open_folder(settings).address}/retention")


def _show_plan(deletion: "DeletionRecord", *, dry_run: bool) -> None:
    typer.echo(f"{deletion.account}: everything before {deletion.before} (UTC)")
    if dry_run:
        for key, window in deletion.windows.items():
            counts = ", ".join(f"{rows:,} {table}" for table, rows in window["rows"].items() if rows)
            typer.echo(f"  {key}  {counts or 'no rows'}, {format_count(len(window['raw']), 'raw file')}")
    held = deletion.held
    for table, rows in deletion.rows.items():
        typer.echo(f"  {table:<16}{rows:>10,} {'row ' if rows == 1 else 'rows'} to delete, {held[table]:,} held")
    typer.echo(
        f"  {format_count(len(deletion.windows), 'window')}, {format_count(deletion.raw_files, 'raw file')}, "
        f"{format_count(len(deletion.files), 'media file')}, {format_count(deletion.inbox_events, 'inbox event')}"
    )


def _show_records(chosen: tuple[Settings, ...]) -> None:
    from warehouse.raw.deletion_log import load_deletion_records

    records = [one for each in chosen for one in load_deletion_records(open_folder(each), each.account)]
    if not records:
        typer.echo("No deletions.")
    for one in records:
        state = f"finished {one.finished_at:%Y-%m-%d %H:%M}Z" if one.finished_at else "not finished"
        typer.echo(
            f"{one.began_at:%Y-%m-%d %H:%M}Z  {one.account}  before {one.before}: "
            f"{format_count(sum(one.rows.values()), 'row')} of {format_count(len(one.windows), 'window')}, "
            f"{format_count(one.raw_files, 'raw file')}, "
            f"{format_count(len(one.files) - len(one.files_kept), 'media file')}; {state}"
        )
