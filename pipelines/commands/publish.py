"""`iplum publish`: the snapshot brought up to the lake."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.commands.invocation import AsJson, open_console, read_accounts, write_json


def publish(
    full: Annotated[bool, typer.Option("--full", help="Rebuild it from nothing.")] = False, as_json: AsJson = False
) -> None:
    """Bring `warehouse.duckdb` up to the lake, without asking iPlum.

    Stopped at any time, the file that was there stands.

    Examples: `iplum publish` · `iplum publish --full` · `iplum publish --json`
    """
    accounts, _ = read_accounts()
    from pipelines.commands.progress_bar import ProgressBar
    from pipelines.warehouse_folder import choose_marts, open_folder
    from warehouse.snapshot.publish import publish as run_publish

    folder = open_folder(accounts[0])
    with ProgressBar(open_console(stderr=True)) as bar:
        publication = run_publish(
            folder, choose_marts(accounts), full=full, on_progress=bar.watch("tables", "windows")
        )
    if as_json:
        replaced = publication.replaced
        tables = {name: {"rows": rows, "replaced": replaced[name]} for name, rows in publication.rows.items()}
        write_json({"published": folder.published, "tables": tables})
        return
    for table, rows in publication.rows.items():
        typer.echo(f"{table:<12}{rows:>12,} rows  {publication.replaced[table]:>6} windows replaced")
    typer.echo(f"published {folder.published}")
