"""SQL statements, one SELECT per file: tables, views, marts, intermediate tables, checks, exports and report."""

from importlib.resources import files


def read_sql(folder: str, name: str) -> str:
    """Return the statement in `<folder>/<name>.sql`."""
    return (files("warehouse") / "sql" / folder / f"{name}.sql").read_text(encoding="utf-8")
