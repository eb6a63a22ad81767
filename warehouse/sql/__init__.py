"""SQL statements, one SELECT per file, in folders: tables, views, marts, intermediate tables, checks and others."""

from functools import cache
from importlib.resources import files


@cache
def read_sql(folder: str, name: str) -> str:
    """Return the statement in `<folder>/<name>.sql`."""
    return (files("warehouse") / "sql" / folder / f"{name}.sql").read_text(encoding="utf-8")
