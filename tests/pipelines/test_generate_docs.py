"""Documentation and code: neither says what the other doesn't."""

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
EVERYTHING = "\n".join(page.read_text() for page in PAGES)


def test_the_example_of_settings_is_up_to_date() -> None:
    assert (PROJECT / ".env.example").read_text() == render_env_example(), "run python -m pipelines.generate_docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_is_up_to_date(page: Path) -> None:
    assert render_page(page.read_text()) == page.read_text(), "run python -m pipelines.generate_docs"


def test_each_variable_table_and_mart_is_in_its_page() -> None:
    settings, tables, marts = ((PROJECT / "docs" / f"{n}.md").read_text() for n in ("settings", "tables", "marts"))
    assert all(f"| `{variable.name}` |" in settings for variable in VARIABLES)
    assert all(f"## `{table.name}`" in tables for table in TABLES.values())
    assert all(f"## `{mart.name}`" in marts for mart in MARTS)


def test_the_readme_leads_to_each_page() -> None:
    for page in PAGES[1:]:
        assert f"(docs/{page.name}" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        linked = (page.parent / target).resolve() if target else page
        assert linked.exists(), target
        assert not anchor or anchor in _list_anchors(linked.read_text()), anchor


def test_the_pictures_are_all_shown_and_small() -> None:
    pictures = sorted((PROJECT / "docs" / "images").iterdir())
    assert pictures
    assert [picture.name for picture in pictures if f"(images/{picture.name})" not in EVERYTHING] == []
    assert sum(picture.stat().st_size for picture in pictures) < 1_500_000


def _list_anchors(text: str) -> set[str]:
    """Name the headings as GitHub does: lower case, blanks as hyphens, no other punctuation."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_each_command_and_option_is_in_its_page() -> None:
    page = (PROJECT / "docs" / "commands.md").read_text()
    commands: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    assert len(commands) > 10
    for name, command in commands.items():
        section = page.partition(f"## `iplum {name}`\n")[2].partition("\n## ")[0]
        assert all(option in section for parameter in command.params for option in parameter.opts if "--" in option)


@pytest.mark.parametrize("target", ["setup", "demo", "demo-ui", "test", "ui"])
def test_each_command_of_make_that_the_readme_names_exists(target: str) -> None:
    assert f"make {target}" in README
    assert re.search(rf"^{target}:", (PROJECT / "Makefile").read_text(), re.MULTILINE)


def test_the_two_commands_come_first() -> None:
    first_block = README.split("```")[1]
    assert "make demo" in first_block
    assert "make test" in first_block


def test_each_query_in_the_pages_runs(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("pages")
    folder = DataFolder(path / "data", path / "state")
    publish(folder)
    queries = re.findall(r'iplum sql "([^"]+)"', EVERYTHING) + re.findall(r"```sql\n(.+?)```", EVERYTHING, re.DOTALL)
    assert len(queries) > 10
    for query in queries:
        assert list(run_query(folder, query).rows) == []


def test_the_example_of_settings_can_be_used_as_it_is() -> None:
    lines = [line for line in render_env_example().splitlines() if line and not line.startswith("# ")]
    environ = dict(line.split("=", 1) for line in lines)
    assert load_settings(environ, PROJECT) == load_settings({}, PROJECT)
