"""`iplum hold`: legal holds."""

from typing import Annotated, Literal

import typer

from pipelines.clock import now
from pipelines.commands.invocation import find_user, read_accounts, read_settings, read_settings_of_reader
from pipelines.settings import Settings, SettingsError
from pipelines.warehouse_folder import find_seal_key, open_folder
from warehouse.outputs.escaping import escape_for_terminal
from warehouse.storage.paths import CHAIN

hold = typer.Typer(
    name="hold",
    help="Exempt records of a user, counterparty or account from deletion.\n\n"
    "Examples: `iplum hold add --user ann@clinic.example` · `iplum hold list`",
    no_args_is_help=True,
)

User = Annotated[str | None, typer.Option(help="Login of an iPlum user.")]
Counterparty = Annotated[str | None, typer.Option(help="Number or login of the other party.")]
Account = Annotated[
    str | None, typer.Option(help="Name of an account. Without other options, all of its records are held.")
]
Note = Annotated[str | None, typer.Option(help="The reason, for your own use.")]


@hold.command()
def add(user: User = None, counterparty: Counterparty = None, account: Account = None, note: Note = None) -> None:
    """Add a hold. From now on, records that match all of its options are not deleted.

    It prints how many records match now.

    Example: `iplum hold add --user ann@clinic.example --counterparty +14085550100 --note "case 17"`
    """
    if not (user or counterparty or account):
        raise SettingsError("give at least one of --user, --counterparty and --account")
    accounts, _ = read_accounts()
    folder = open_folder(accounts[0])
    known = sorted({settings.account for settings in accounts} | set(folder.accounts()))
    if account is not None and account not in known:
        raise SettingsError(f"there is no account {account!r}; the accounts are {', '.join(known)}")
    from warehouse.retention.legal_holds import add_hold, count_matches

    added = add_hold(folder, account=account, user=user, counterparty=counterparty, since=now().date(), note=note)
    named = {"account": account, "user": user, "counterparty": counterparty}
    _record(accounts[0], "hold-added", added.number, note, **named)
    matches = count_matches(folder, added)
    found = ", ".join(f"{rows:,} {name}" for name, rows in matches.items())
    typer.echo(f"Added hold {added.number}. Records that match it now: {found}.")
    if not any(matches.values()):
        typer.echo("warning: no record matches; check the spelling with 'iplum hold list'", err=True)


@hold.command("list")
def list_holds() -> None:
    """List the holds, and those that were removed."""
    settings = read_settings_of_reader()
    from warehouse.retention.legal_holds import read_hold_history

    holds = read_hold_history(open_folder(settings))
    if all(one.removed for one in holds):
        typer.echo("No holds.")
    for one in sorted(holds, key=lambda one: (one.removed is not None, one.number)):
        named = {"account": one.account, "user": one.user, "counterparty": one.counterparty, "note": one.note}
        state = {"removed on": one.removed and str(one.removed)}
        words = ", ".join(f"{name} {what}" for name, what in {**named, **state}.items() if what)
        typer.echo(escape_for_terminal(f"{one.number:>3}  {one.since}  {words}"))


@hold.command()
def remove(
    number: Annotated[int, typer.Argument(help="Number of the hold, as shown by 'iplum hold list'.")], note: Note = None
) -> None:
    """Remove a hold. Its records can be deleted again, unless another hold covers them.

    Its record is kept in `holds.json`, and its number is not used again.
    """
    settings, _ = read_settings()
    from warehouse.retention.legal_holds import remove_hold

    remove_hold(open_folder(settings), number, on=now().date())
    _record(settings, "hold-removed", number, note)
    typer.echo(f"Removed hold {number}.")


def _record(
    settings: Settings, kind: Literal["hold-added", "hold-removed"], number: int, note: str | None, **named: str | None
) -> None:
    """Record the change for the evidence chain, and seal it if there is a chain."""
    from warehouse.evidence.events import record_event
    from warehouse.evidence.seal import seal

    folder, key_file = open_folder(settings), find_seal_key(settings)
    record_event(folder, kind, at=now(), by=find_user(), hold=number, note=note, **named)
    if folder.store.exists(CHAIN):
        seal(folder, key_file, now=now())
