"""`iplum fetch`: the published database as a local file."""

import typer

from pipelines.commands.invocation import read_settings_of_reader


def fetch() -> None:
    """Download the published warehouse.duckdb if it has changed, and print its path.

    Use it when IPLUM_DATA is a bucket and your tool needs a local file. If IPLUM_DATA is a folder, it only prints the
    path of the file there.

    Example: `iplum fetch`
    """
    settings = read_settings_of_reader()
    from pipelines.warehouse_folder import open_folder
    from warehouse.snapshot.pointer import fetch_snapshot

    typer.echo(fetch_snapshot(open_folder(settings)))
