"""`iplum hold`: whose records are kept whatever is deleted."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.commands.invocation import now, read_settings
from pipelines.settings import SettingsError

hold = typer.Typer(
    name="hold",
    help="Keep a user's, a counterparty's or an account's records whatever is deleted.\n\n"
    "Examples: `iplum hold add --user ann@clinic.example` · `iplum hold list`",
    no_args_is_help=True,
)

User = Annotated[str | None, typer.Option(help="Of this iPlum user.")]
Counterparty = Annotated[str | None, typer.Option(help="With this number or login.")]
Account = Annotated[str | None, typer.Option(help="Of this account; alone, all of it.")]
Note = Annotated[str | None, typer.Option(help="What it is for; yours to read.")]


@hold.command()
def add(user: User = None, counterparty: Counterparty = None, account: Account = None, note: Note = None) -> None:
    """Declare a hold: records for which all that is named is so stay, from now on.

    Example: `iplum hold add --user ann@clinic.example --counterparty +14085550100 --note "case 17"`
    """
    if not (user or counterparty or account):
        raise SettingsError("name whom to hold: --user, --counterparty or --account")
    settings, _ = read_settings()
    from pipelines.warehouse_folder import open_folder
    from warehouse.retention.legal_holds import add_hold

    declared = add_hold(
        open_folder(settings),
        account=account,
        user=user,
        counterparty=counterparty,
        since=now().date(),
        note=note,
    )
    typer.echo(f"hold {declared.number} is declared")


@hold.command("list")
def list_holds() -> None:
    """Show the holds."""
    settings, _ = read_settings()
    from pipelines.warehouse_folder import open_folder
    from warehouse.retention.legal_holds import read_holds

    for one in read_holds(open_folder(settings)):
        named = {"account": one.account, "user": one.user, "counterparty": one.counterparty, "note": one.note}
        typer.echo(
            f"{one.number:>3}  {one.since}  " + ", ".join(f"{name} {what}" for name, what in named.items() if what)
        )


@hold.command()
def remove(number: Annotated[int, typer.Argument(help="Its number, as 'iplum hold list' shows it.")]) -> None:
    """Lift a hold: the next deletion takes what only it kept."""
    settings, _ = read_settings()
    from pipelines.warehouse_folder import open_folder
    from warehouse.retention.legal_holds import remove_hold

    remove_hold(open_folder(settings), number)
    typer.echo(f"hold {number} is lifted")
