"""`iplum sql`: a query on the published tables."""

import sys
from typing import Annotated, Literal

import typer

from pipelines.commands.invocation import read_settings_of_reader


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT statement.")],
    form: Annotated[Literal["table", "csv", "json"], typer.Option("--format", help="Output format.")] = "table",
) -> None:
    """Run a read-only query on the published tables. Times are in the time zone IPLUM_TIMEZONE, with their offset.

    Example: `iplum sql "SELECT channel, count(*) FROM usage GROUP BY 1"`
    """
    settings = read_settings_of_reader()
    from pipelines.commands.row_formats import write_rows
    from pipelines.warehouse_folder import open_folder
    from warehouse.outputs.query import run_query

    write_rows(run_query(open_folder(settings), query, time_zone=settings.time_zone), form, sys.stdout)
