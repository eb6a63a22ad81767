"""Generation of the documentation made from code: `.env.example`, commands, settings, tables and marts.

`python -m pipelines.generate_docs` writes it; a test fails if it is outdated.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

from pipelines import cli
from pipelines.settings import PROJECT, VARIABLES, render_env_example
from warehouse.schema.marts import MARTS, Mart
from warehouse.schema.tables import TABLES, Table


def list_pages(root: Path) -> list[Path]:
    """List the pages of the documentation: README.md, then `docs/`."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def render_page(text: str) -> str:
    """Replace the generated sections of a page, between their marks."""
    sections = {
        "commands": _render_commands(),
        "variables": _render_variables(),
        "tables": _render_tables(TABLES.values()),
        "marts": _render_tables(MARTS),
    }
    for name, section in sections.items():
        before, mark, rest = text.partition(f"<!-- {name} -->\n")
        if mark:
            _, end, after = rest.partition(f"<!-- /{name} -->")
            text = f"{before}{mark}{section}\n{end}{after}"
    return text


def _render_commands() -> str:
    group: Any = typer.main.get_command(cli.app)
    blocks = []
    for name, command in group.commands.items():
        arguments = [parameter.name.upper() for parameter in command.params if parameter.opts == [parameter.name]]
        lines = [f"## `iplum {name}`", "", command.help]
        lines += [f"\nArguments: `{' '.join(arguments)}`."] if arguments else []
        for subname, subcommand in getattr(command, "commands", {}).items():
            lines += ["", f"### iplum {name} {subname}", "", subcommand.help, *_render_options(subcommand)]
        blocks.append("\n".join([*lines, *_render_options(command)]))
    return "\n\n".join(blocks)


def _render_options(command: Any) -> list[str]:
    options = [parameter for parameter in command.params if parameter.opts[0].startswith("--")]
    if not options:
        return []
    head = ["", "| option | description |", "|---|---|"]
    return head + [
        f"| `{' / '.join([*o.opts, *o.secondary_opts])}{f' {o.metavar}' if o.metavar else ''}` | {o.help} |"
        for o in options
    ]


def _render_variables() -> str:
    lines = ["| variable | default | description |", "|---|---|---|"]
    for variable in VARIABLES:
        default = f"`{variable.default}`" if variable.default else "none"
        lines.append(f"| `{variable.name}` | {default} | {variable.description} |")
    return "\n".join(lines)


def _render_tables(tables: Iterable[Table | Mart]) -> str:
    blocks = []
    for table in tables:
        lines = [f"## `{table.name}`", "", table.description, "", "| column | type | description |", "|---|---|---|"]
        lines += [f"| `{c.name}` | {c.duckdb_type} | {c.description} |" for c in table.columns]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def write_documentation(root: Path) -> None:
    """Write all generated documentation under `root`."""
    (root / ".env.example").write_text(render_env_example())
    for page in list_pages(root):
        page.write_text(render_page(page.read_text()))


if __name__ == "__main__":
    write_documentation(PROJECT)
