"""Dependencies: each is used, explained in CONTRIBUTING.md and locked; and the exit code of the vulnerability audit."""

import ast
import importlib.util
import re
import tomllib
from importlib.metadata import packages_distributions
from types import ModuleType
from typing import Any

import pytest

from tests.test_architecture import PACKAGES, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DECLARED, FOR_BUILDS, FOR_TESTS, FOR_CLUSTERS = (
    [re.split(r"[><=\[ ]", line)[0] for line in lines if isinstance(line, str)]
    for lines in (
        PROJECT["project"]["dependencies"],
        PROJECT["dependency-groups"]["build"],
        PROJECT["dependency-groups"]["dev"],
        PROJECT["project"]["optional-dependencies"]["cluster"],
    )
)
#: Dependencies that no module imports, and the program that loads each by name.
PLUGINS = {"httptools": "uvicorn", "pytz": "DuckDB's Python client, for instants", "tzdata": "zoneinfo"}


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _find_imported() -> set[str]:
    """Return the names of the distributions that the packages import."""
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    known = packages_distributions()
    return {_normalize(distribution) for name in names for distribution in known.get(name.split(".")[0], [])}


def test_each_dependency_is_imported_or_loaded_by_name() -> None:
    imported = _find_imported()
    assert [name for name in DECLARED if name not in imported] == sorted(PLUGINS)


def test_imported_distributions_are_declared() -> None:
    ours = _normalize(PROJECT["project"]["name"])
    assert _find_imported() - {*DECLARED, *FOR_CLUSTERS} - {ours} == set()


def _read_dependency_section() -> str:
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    return guide.partition("## Dependencies\n")[2].partition("\n#")[0].lower()


@pytest.mark.parametrize("name", [*DECLARED, *FOR_BUILDS, *FOR_TESTS, *FOR_CLUSTERS])
def test_each_dependency_is_explained_in_the_guide(name: str) -> None:
    short_name = re.sub(r"-(bin|binary|python)$", "", name)
    assert re.search(rf"(?<![\w-]){re.escape(short_name)}\b", _read_dependency_section())


def _read_lock(name: str) -> dict[str, str]:
    """Return the locked version of each package that has a hash."""
    line = r"^([a-z0-9-]+)(?:\[[^\]]*\])?==([^\s;]+)[^\n]*\\\n    --hash=sha256:"
    return dict(re.findall(line, (ROOT / name).read_text(), re.MULTILINE))


def test_each_dependency_is_locked_with_hashes() -> None:
    running, everything = _read_lock("requirements.lock"), _read_lock("requirements-dev.lock")
    assert {*DECLARED, *FOR_BUILDS} <= set(running)
    assert {*FOR_TESTS, *FOR_CLUSTERS} <= set(everything)
    assert running.items() <= everything.items(), "both locks have the same versions"


def test_running_needs_no_package_for_tests_or_clusters() -> None:
    locked = _read_lock("requirements.lock")
    # Dagster itself needs tabulate.
    assert {*FOR_TESTS, *FOR_CLUSTERS, "celery", "pytest"} & set(locked) == {"tabulate"}


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_the_locks_name_no_package_index(name: str) -> None:
    assert "://" not in (ROOT / name).read_text()


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    path = ROOT / ".ci" / "audit.py"
    spec = importlib.util.spec_from_file_location("ci_audit", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CLEAN: dict[str, Any] = {"name": "a", "version": "1", "vulns": []}
VULNERABLE: dict[str, Any] = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1"}, {"id": "PYSEC-2"}]}
UNKNOWN: dict[str, Any] = {"name": "c", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "code", "line"),
    [
        ([CLEAN], 0, "1 of 1 packages checked, 0 vulnerable"),
        ([CLEAN, VULNERABLE], 1, "b 2: PYSEC-1, PYSEC-2"),
        ([CLEAN, UNKNOWN], 75, "NOT AUDITED"),
        ([VULNERABLE, UNKNOWN], 1, "NOT AUDITED"),
        ([], 75, "NOT AUDITED"),
    ],
)
def test_an_incomplete_audit_does_not_succeed(
    audit: ModuleType, packages: list[dict[str, Any]], code: int, line: str
) -> None:
    """If the service returns nothing, pip-audit reports "No known vulnerabilities found"."""
    exit_code, lines = audit.summarize({"dependencies": packages})
    assert exit_code == code
    assert line in "\n".join(lines)
