"""The parts of the documentation that are made from the code, so that they can't drift apart.

`python -m pipelines.generate_docs` writes them anew; a test fails when they differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipelines.settings import PROJECT, VARIABLES
from warehouse.schema.marts import MARTS, Mart
from warehouse.schema.tables import PUBLISHED_TABLES, Table


def render_env_example() -> str:
    """Write `.env.example`: every variable with its meaning and default, commented out where it has one."""
    lines = [
        "# Copy this to .env and fill in the first three. What stands behind a # is the default.",
        "# Values stand bare: no quotes, no spaces.",
        "",
    ]
    for variable in VARIABLES:
        lines.append(f"# {variable.meaning}")
        lines.append(f"{'# ' if variable.default else ''}{variable.name}={variable.default}")
        lines.append("")
    return "\n".join(lines)


def list_pages(root: Path) -> list[Path]:
    """Get every page of the documentation: the README first, then `docs/`."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def render_page(text: str) -> str:
    """Put the tables that are made from the code into a page, between the marks that it has."""
    sections = {
        "variables": _render_variables(),
        "tables": _render_tables(PUBLISHED_TABLES),
        "marts": _render_tables(MARTS),
    }
    for name, section in sections.items():
        before, mark, rest = text.partition(f"<!-- {name} -->\n")
        if mark:
            _, end, after = rest.partition(f"<!-- /{name} -->")
            text = f"{before}{mark}{section}\n{end}{after}"
    return text


def _render_variables() -> str:
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for variable in VARIABLES:
        default = f"`{variable.default}`" if variable.default else "none"
        lines.append(f"| `{variable.name}` | {default} | {variable.meaning} |")
    return "\n".join(lines)


def _render_tables(tables: Iterable[Table | Mart]) -> str:
    blocks = []
    for table in tables:
        lines = [f"## `{table.name}`", "", table.description, "", "| column | type | meaning |", "|---|---|---|"]
        lines += [f"| `{c.name}` | {str(c.type).split('[')[0]} | {c.description} |" for c in table.columns]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def write_documentation(root: Path) -> None:
    """Write all of it anew under `root`."""
    (root / ".env.example").write_text(render_env_example())
    for page in list_pages(root):
        page.write_text(render_page(page.read_text()))


if __name__ == "__main__":
    write_documentation(PROJECT)
