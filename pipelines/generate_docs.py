"""Generation of the documentation made from code: `.env.example`, commands, settings, tables and marts.

`python -m pipelines.generate_docs` writes it; a test fails if it is outdated.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from pipelines import cli
from pipelines.settings import HOME_VARIABLE, PROJECT, VARIABLES, render_env_example
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
        lines = [f"## `iplum {name}`", "", command.help]
        for subname, subcommand in getattr(command, "commands", {}).items():
            lines += ["", f"### iplum {name} {subname}", "", subcommand.help, *_render_parameters(subcommand)]
        blocks.append("\n".join([*lines, *_render_parameters(command)]))
    return "\n\n".join(blocks)


def _render_parameters(command: Any) -> list[str]:
    arguments = [f"`{one.name.upper()}`: {one.help}" for one in command.params if one.opts == [one.name]]
    lines = ["", f"Arguments: {' '.join(arguments)}"] if arguments else []
    options = [parameter for parameter in command.params if parameter.opts[0].startswith("--")]
    if not options:
        return lines
    head = ["", "| option | description |", "|---|---|"]
    return [*lines, *head] + [
        f"| `{' / '.join([*o.opts, *o.secondary_opts])}{f' {o.metavar}' if o.metavar else ''}` | {_describe(o)} |"
        for o in options
    ]


def _describe(option: Any) -> str:
    """Return an option's help, its values, and its default or that it is required."""
    parts = [option.help]
    choices = _list_choices(option.type_descriptor.annotation)
    if choices:
        parts.append(f"Values: {', '.join(f'`{choice}`' for choice in choices)}.")
    if option.required:
        parts.append("Required.")
    elif isinstance(option.default, bool):
        # A switch without an opposite is off.
        defaults = option.opts if option.default else option.secondary_opts
        parts += [f"Default: `{name}`." for name in defaults]
    elif option.default not in (None, ""):
        default = f"{option.default:g}" if isinstance(option.default, float) else option.default
        parts.append(f"Default: `{default}`.")
    return " ".join(parts)


def _list_choices(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [choice for part in get_args(kind) for choice in _list_choices(part)]


def _render_variables() -> str:
    lines = ["| variable | default | description |", "|---|---|---|"]
    for variable in (HOME_VARIABLE, *VARIABLES):
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
