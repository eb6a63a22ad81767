"""Consistency of documentation and code: generated parts, links, images, commands and queries."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from pipelines import cli
from pipelines.generate_docs import list_pages, render_page
from pipelines.settings import PROJECT, VARIABLES, load_settings, render_env_example
from warehouse.outputs.query import run_query
from warehouse.schema.marts import MARTS
from warehouse.schema.tables import TABLES
from warehouse.snapshot.publish import publish
from warehouse.storage.paths import DataFolder

PAGES = list_pages(PROJECT)
README = (PROJECT / "README.md").read_text()
ALL_PAGES = "\n".join(page.read_text() for page in PAGES)


def test_env_example_is_up_to_date() -> None:
    assert (PROJECT / ".env.example").read_text() == render_env_example(), "run python -m pipelines.generate_docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_is_up_to_date(page: Path) -> None:
    assert render_page(page.read_text()) == page.read_text(), "run python -m pipelines.generate_docs"


def test_each_variable_table_and_mart_is_documented() -> None:
    settings, tables, marts = ((PROJECT / "docs" / f"{n}.md").read_text() for n in ("settings", "tables", "marts"))
    assert all(f"| `{variable.name}` |" in settings for variable in VARIABLES)
    assert all(f"## `{table.name}`" in tables for table in TABLES.values())
    assert all(f"## `{mart.name}`" in marts for mart in MARTS)


def test_the_readme_links_to_each_page() -> None:
    for page in PAGES[1:]:
        assert f"(docs/{page.name}" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_has_an_existing_target(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        linked = (page.parent / target).resolve() if target else page
        assert linked.exists(), target
        assert not anchor or anchor in _list_anchors(linked.read_text()), anchor


def test_all_images_are_used_and_are_small_in_total() -> None:
    images = sorted((PROJECT / "docs" / "images").iterdir())
    assert images
    assert [image.name for image in images if f"(images/{image.name})" not in ALL_PAGES] == []
    assert sum(image.stat().st_size for image in images) < 1_500_000


def _list_anchors(text: str) -> set[str]:
    """Return the anchors of headings in GitHub's format: lower case, hyphens for spaces, no other punctuation."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def list_options() -> list[tuple[str, str]]:
    """List all options of all commands, as (command, option); `--help` is in each."""
    commands: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    flat = {f"iplum {name}": command for name, command in commands.items()}
    for name, command in commands.items():
        flat |= {f"iplum {name} {sub}": one for sub, one in getattr(command, "commands", {}).items()}
    return sorted(
        (name, option)
        for name, command in flat.items()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("--")
    )


def list_documented_options() -> list[tuple[str, str]]:
    """List the options in the tables of the page of commands, as (command, option)."""
    page = (PROJECT / "docs" / "commands.md").read_text()
    heading, listed = "", []
    for line in page.splitlines():
        if found := re.match(r"##+ `?(iplum [a-z ]+?)`?$", line):
            heading = found[1]
        elif line.startswith("| `--"):
            listed += [(heading, option) for option in re.findall(r"--[a-z0-9-]+", line.split("`")[1])]
    return sorted(listed)


def test_exactly_the_options_of_all_commands_are_documented() -> None:
    options = list_options()
    assert len(options) > 30
    assert {name for name, _ in options} >= {"iplum sync", "iplum hold add"}
    assert list_documented_options() == options


@pytest.mark.parametrize("target", ["setup", "demo", "demo-ui", "test", "ui"])
def test_each_make_target_in_the_readme_exists(target: str) -> None:
    assert f"make {target}" in README
    assert re.search(rf"^{target}:", (PROJECT / "Makefile").read_text(), re.MULTILINE)


def test_the_first_code_block_of_the_readme_has_make_demo_and_make_test() -> None:
    first_block = README.split("```")[1]
    assert "make demo" in first_block
    assert "make test" in first_block


def test_each_documented_query_runs_on_an_empty_warehouse(tmp_path_factory: pytest.TempPathFactory) -> None:
    """tests/pipelines/test_documented_commands.py runs them on a synced one."""
    path = tmp_path_factory.mktemp("pages")
    folder = DataFolder(path / "data", path / "state")
    publish(folder)
    queries = re.findall(r'iplum sql "([^"]+)"', ALL_PAGES) + re.findall(r"```sql\n(.+?)```", ALL_PAGES, re.DOTALL)
    assert len(queries) > 10
    for query in queries:
        assert list(run_query(folder, query).rows) == []


def test_env_example_contains_the_default_settings() -> None:
    lines = [line for line in render_env_example().splitlines() if line and not line.startswith("# ")]
    environ = dict(line.split("=", 1) for line in lines)
    assert load_settings(environ, PROJECT) == load_settings({}, PROJECT)
