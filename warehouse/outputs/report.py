"""The report: one HTML page that works offline."""

import json
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import duckdb
import jinja2

from warehouse.outputs.report_charts import CHARTS
from warehouse.snapshot.database import read_snapshot
from warehouse.snapshot.pointer import fetch_snapshot
from warehouse.sql import read_sql
from warehouse.storage.atomic_files import write_file
from warehouse.storage.paths import DataFolder

_TABLES = ("users", "unanswered", "freshness", "callbacks", "months", "state")
_NONE = "-"
Rows = list[dict[str, Any]]


def write_report(folder: DataFolder, output: Path | None = None) -> Path:
    """Write the report of the published snapshot, whole or not at all, and return its path.

    It contains logins and phone numbers, so it is as private as the data. Without `output` it is `report.html` in
    the data folder. Raises `NothingPublished`, `SnapshotUnreadable` and `StorageFailed`.
    """
    fetch_snapshot(folder)
    path, page = output or folder.report, render_report(folder).encode()
    write_file(path, page, folder.modes)
    if folder.bucket is not None and output is None:
        folder.store.write(folder.report.name, page)
    return path


def render_report(folder: DataFolder) -> str:
    """Render the page as one HTML text with its scripts and data; users' text is escaped."""
    with read_snapshot(folder.snapshot) as connection:
        rows = {name: _read(connection, name) for name in {*CHARTS, *_TABLES}}
    charts = {name: draw(rows[name]) for name, draw in CHARTS.items() if rows[name]}
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters.update(number=_format_number, share=_format_share, moment=_format_instant)
    template = environment.from_string(_read_file("outputs/templates/report.html.j2"))
    return template.render(
        **{name: rows[name] for name in _TABLES},
        charts=list(charts),
        # Nothing in a script may look like its closing tag.
        specifications=json.dumps(charts).replace("<", "\\u003c"),
        library=_read_file("outputs/templates/vega.js"),
    )


def _read(connection: duckdb.DuckDBPyConnection, name: str) -> Rows:
    cursor = connection.execute(read_sql("report", name))
    columns = [column[0] for column in cursor.description or []]
    return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def _read_file(name: str) -> str:
    return (package_files("warehouse") / name).read_text(encoding="utf-8")


def _format_number(value: float | None, digits: int = 0) -> str:
    return _NONE if value is None else f"{value:,.{digits}f}"


def _format_share(value: float | None) -> str:
    return _NONE if value is None else f"{value:.0%}"


def _format_instant(value: Any) -> str:
    return _NONE if value is None else f"{value:%Y-%m-%d %H:%M}"
