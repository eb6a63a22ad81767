"""The output formats of `iplum sql`."""

import json
from datetime import date, datetime
from typing import Any, Literal, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from warehouse.outputs.escaping import escape_for_terminal, format_csv_row
from warehouse.outputs.query import QueryResult


def write_rows(result: QueryResult, form: Literal["table", "csv", "json"], stream: TextIO) -> None:
    """Write all rows as an aligned table, as CSV with a header (null is empty), or as a JSON array of objects.

    Instants are in ISO 8601, with their offset. Table and CSV escape strangers' text, CSV for spreadsheets and, on a
    terminal, for that too; only JSON has it verbatim.
    """
    {"table": _write_table, "csv": _write_csv, "json": _write_json}[form](result, stream)


def _write_table(result: QueryResult, stream: TextIO) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in result.columns:
        table.add_column(Text(escape_for_terminal(column)), overflow="fold")
    for row in result.rows:
        table.add_row(*(Text(escape_for_terminal(_format_value(value))) for value in row))
    console = Console(file=stream, width=None if stream.isatty() else 10_000)
    console.print(table)
    console.print("(1 row)" if table.row_count == 1 else f"({table.row_count:,} rows)", highlight=False)


def _write_csv(result: QueryResult, stream: TextIO) -> None:
    escape = escape_for_terminal if stream.isatty() else str
    stream.write(escape(format_csv_row(result.columns)) + "\n")
    for row in result.rows:
        cells = (None if value is None else _format_value(value) for value in row)
        stream.write(escape(format_csv_row(cells)) + "\n")


def _write_json(result: QueryResult, stream: TextIO) -> None:
    separator = "["
    for row in result.rows:
        stream.write(separator + json.dumps(dict(zip(result.columns, row, strict=True)), default=_format_value))
        separator = ",\n "
    stream.write("[]\n" if separator == "[" else "]\n")


def _format_value(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)
