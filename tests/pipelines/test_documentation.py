"""Documentation and code: neither says what the other doesn't."""

import re

import pytest
import typer

from pipelines import cli
from pipelines.documentation import render_env_example, render_readme
from pipelines.settings import PROJECT, VARIABLES, load_settings
from warehouse.layout import DataFolder
from warehouse.publish import publish
from warehouse.query import run_query

README = (PROJECT / "README.md").read_text()


def test_the_example_of_settings_is_up_to_date() -> None:
    assert (PROJECT / ".env.example").read_text() == render_env_example(), "run python -m pipelines.documentation"


def test_the_readme_is_up_to_date() -> None:
    assert render_readme(README) == README, "run python -m pipelines.documentation"
    for variable in VARIABLES:
        assert f"`{variable.name}`" in README


def test_each_command_and_option_is_in_the_readme() -> None:
    group = typer.main.get_command(cli.app)
    commands: dict[str, object] = group.commands  # type: ignore[attr-defined]
    for name in commands:
        assert f"iplum {name}" in README
    for option in ("--since", "--until", "--full", "--format", "--debug"):
        assert option in README


@pytest.mark.parametrize("target", ["setup", "demo", "test", "ui"])
def test_each_command_of_make_that_the_readme_names_exists(target: str) -> None:
    assert f"make {target}" in README
    assert re.search(rf"^{target}:", (PROJECT / "Makefile").read_text(), re.MULTILINE)


def test_the_two_commands_come_first() -> None:
    first_block = README.split("```")[1]
    assert "make demo" in first_block
    assert "make test" in first_block


def test_each_query_in_the_readme_runs(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("readme")
    folder = DataFolder(path / "data", path / "state")
    publish(folder)
    queries = re.findall(r'iplum sql "([^"]+)"', README) + re.findall(r"```sql\n(.+?)```", README, re.DOTALL)
    assert len(queries) > 10
    for query in queries:
        assert list(run_query(folder, query).rows) == []


def test_the_example_of_settings_can_be_used_as_it_is() -> None:
    lines = [line for line in render_env_example().splitlines() if line and not line.startswith("# ")]
    environ = dict(line.split("=", 1) for line in lines)
    assert load_settings(environ, PROJECT) == load_settings({}, PROJECT)
