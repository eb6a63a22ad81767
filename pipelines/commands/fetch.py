"""`iplum fetch`: the published database as a local file."""

import typer

from pipelines.commands.invocation import read_settings


def fetch() -> None:
    """Download the published warehouse.duckdb if it has changed, and print its path.

    For a tool that opens the file while IPLUM_DATA is a bucket. For a folder, the path of its file is printed.

    Example: `iplum fetch`
    """
    settings, *_ = read_settings()
    from pipelines.warehouse_folder import open_folder
    from warehouse.snapshot.pointer import fetch_snapshot

    typer.echo(fetch_snapshot(open_folder(settings)))
