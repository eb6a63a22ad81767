"""`iplum publish`: the snapshot brought up to the lake."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.commands.invocation import read_accounts


def publish(
    full: Annotated[bool, typer.Option("--full", help="Rebuild it from nothing.")] = False,
) -> None:
    """Bring `warehouse.duckdb` up to the lake, without asking iPlum.

    Examples: `iplum publish` · `iplum publish --full`
    """
    accounts, _ = read_accounts()
    from pipelines.storage import choose_marts, open_folder
    from warehouse.publish import publish as run_publish

    folder = open_folder(accounts[0])
    publication = run_publish(folder, choose_marts(accounts), full=full)
    for table, rows in publication.rows.items():
        typer.echo(f"{table:<12}{rows:>12,} rows  {publication.replaced[table]:>6} windows replaced")
    typer.echo(f"published {folder.published}")
