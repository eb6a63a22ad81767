"""`iplum fetch`: the published tables as a file of this machine."""

from __future__ import annotations

import typer

from pipelines.commands.invocation import read_settings


def fetch() -> None:
    """Bring this machine's copy of warehouse.duckdb up to what is published, and print its path.

    For a tool that opens the file, where IPLUM_DATA is a bucket; a folder's own file is printed as it is.

    Example: `iplum fetch`
    """
    settings, *_ = read_settings()
    from pipelines.warehouse_folder import open_folder
    from warehouse.snapshot.pointer import fetch_snapshot

    typer.echo(fetch_snapshot(open_folder(settings)))
