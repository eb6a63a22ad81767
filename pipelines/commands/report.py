"""`iplum report`: the HTML report."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.invocation import read_settings, read_settings_of_reader


def report(
    output: Annotated[
        str | None, typer.Option(metavar="FILE", help="File to write. Default: report.html in IPLUM_DATA.")
    ] = None,
) -> None:
    """Write the report, one HTML file that works offline.

    The report contains logins and phone numbers.

    Example: `iplum report --output march.html`
    """
    settings = read_settings()[0] if output is None else read_settings_of_reader()
    from pipelines.warehouse_folder import open_folder
    from warehouse.outputs.report import write_report

    path = write_report(open_folder(settings), None if output is None else Path(output).expanduser().absolute())
    typer.echo(f"Written to {path}")
