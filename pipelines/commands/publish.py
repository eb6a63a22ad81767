"""`iplum publish`: update of the published database."""

from typing import Annotated

import typer

from pipelines.commands.invocation import AsJson, read_accounts, write_json


def publish(
    full: Annotated[bool, typer.Option("--full", help="Rebuild it completely.")] = False, as_json: AsJson = False
) -> None:
    """Update `warehouse.duckdb` from the lake, without requests to iPlum.

    If it is interrupted, the previous file is kept.

    Examples: `iplum publish` · `iplum publish --full` · `iplum publish --json`
    """
    accounts, _ = read_accounts()
    from pipelines.commands.progress_bar import ProgressBar
    from pipelines.steps.refresh_people import refresh_people
    from pipelines.warehouse_folder import build_mart_settings, open_folder
    from warehouse.snapshot.publish import publish as run_publish

    folder = open_folder(accounts[0])
    update = refresh_people(accounts[0], folder)
    with ProgressBar() as bar:
        publication = run_publish(
            folder, build_mart_settings(accounts), full=full, on_progress=bar.track("tables", "windows")
        )
    if as_json:
        replaced = publication.replaced
        tables = {name: {"rows": rows, "replaced": replaced[name]} for name, rows in publication.rows.items()}
        write_json({"published": folder.published, "tables": tables})
        return
    for table, rows in publication.rows.items():
        typer.echo(f"{table:<12}{rows:>12,} rows  {publication.replaced[table]:>6} windows replaced")
    for problem in update.problems if update else ():
        typer.echo(f"warning: {problem}", err=True)
    typer.echo(f"published {folder.published}")
