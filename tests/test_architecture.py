"""Architecture rules: allowed imports, import time of the command line, and module docstrings."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("iplum_resource", "warehouse", "pipelines")
BENCHMARKS = "benchmarks"
STANDIN = "iplum_resource.standin"
SETTINGS = "pipelines.settings"
#: The one command that starts the stand-in.
STANDIN_COMMAND = "pipelines.commands.standin"
#: The folders of warehouse/ in the order of the data flow; a folder imports only those before it. Every folder
#: reads sql/.
FOLDERS = (
    "schema",
    "storage",
    "people",
    "raw",
    "lake",
    "archive",
    "snapshot",
    "retention",
    "evidence",
    "checks",
    "outputs",
)
#: Libraries that import too slowly for `iplum --help`.
HEAVY = ("dagster", "pandas", "duckdb", "pyarrow")


@dataclass(frozen=True)
class Import:
    """One imported name; `from a import b` gives `a.b`."""

    name: str
    line: int

    def is_of(self, *packages: str) -> bool:
        return any(self.name == package or self.name.startswith(f"{package}.") for package in packages)


@dataclass(frozen=True)
class Module:
    """A source file by its dotted name."""

    name: str
    tree: ast.Module
    is_package: bool

    @cached_property
    def imports(self) -> list[Import]:
        """Return all imports, including those in functions and those for the type checker."""
        return [found for node in ast.walk(self.tree) for found in self._read(node)]

    def find_imports_at_start(self) -> list[Import]:
        """Return the imports that run when the module is imported."""
        return [found for node in _walk_executed(self.tree.body) for found in self._read(node)]

    def _read(self, node: ast.AST) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = self._resolve(node)
            yield from (Import(f"{base}.{alias.name}", node.lineno) for alias in node.names)

    def _resolve(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        parts = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*parts, *([node.module] if node.module else [])])


def _walk_executed(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        is_for_types = isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test)
        for name in ("orelse",) if is_for_types else ("body", "handlers", "orelse", "finalbody"):
            for child in getattr(statement, name, []):
                yield from _walk_executed(child.body if isinstance(child, ast.ExceptHandler) else [child])


def _parse(source: str, name: str, *, is_package: bool = False) -> Module:
    return Module(name, ast.parse(source), is_package)


def _load(*packages: str) -> list[Module]:
    return [module for package in packages for module in _load_package(package)]


@cache
def _load_package(package: str) -> list[Module]:
    modules = []
    for file in sorted((ROOT / package).rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        modules.append(_parse(file.read_text(encoding="utf-8"), name, is_package=is_package))
    return modules


def _is_standin(module: Module) -> bool:
    return Import(module.name, 0).is_of(STANDIN)


def _find_violations(modules: list[Module], *forbidden: str) -> list[str]:
    return [
        f"{module.name}, line {found.line}, imports {found.name}"
        for module in modules
        for found in module.imports
        if found.is_of(*forbidden)
    ]


def test_all_packages_are_loaded() -> None:
    names = {module.name for module in _load(*PACKAGES)}
    examples = {"iplum_resource.client", "warehouse.storage.paths", "pipelines.defs.assets.datasets"}
    assert names >= {*PACKAGES, STANDIN, *examples}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import a.b, c as d", ["a.b", "c"]),
        ("from a import b as x, c", ["a.b", "a.c"]),
        ("from . import b", ["own.inner.b"]),
        ("from .b import c", ["own.inner.b.c"]),
        ("from .. import b", ["own.b"]),
        ("def f():\n    import a", ["a"]),
        ("if TYPE_CHECKING:\n    import a", ["a"]),
    ],
)
def test_all_forms_of_import_are_found(source: str, names: list[str]) -> None:
    assert [found.name for found in _parse(source, "own.inner.module").imports] == names
    # Relative imports in a package start one level deeper.
    if source.startswith("from .b"):
        assert _parse(source, "own.inner", is_package=True).imports[0].name == names[0]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import a", ["a"]),
        ("def f():\n    import a", []),
        ("class C:\n    import a\n    def f(self):\n        import b", ["a"]),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b", ["b"]),
        ("if typing.TYPE_CHECKING:\n    import a", []),
        ("try:\n    import a\nexcept ImportError:\n    import b\nfinally:\n    import c", ["a", "b", "c"]),
        ("with f():\n    import a", ["a"]),
    ],
)
def test_only_imports_that_run_at_import_time_are_found_at_start(source: str, names: list[str]) -> None:
    assert [found.name for found in _parse(source, "own").find_imports_at_start()] == names


def test_the_resource_imports_neither_warehouse_nor_pipelines() -> None:
    storage = ("pandas", "numpy", "duckdb", "pyarrow", "obstore", "sqlalchemy")
    assert _find_violations(_load("iplum_resource"), "warehouse", "pipelines", *storage) == []


def test_only_one_module_of_the_resource_imports_dagster() -> None:
    modules = _load("iplum_resource")
    importing = {module.name for module in modules if _find_violations([module], "dagster")}
    assert importing == {"iplum_resource.resource"}


def test_the_warehouse_imports_no_http_library_dagster_or_other_package() -> None:
    http = ("requests", "urllib3", "httpx", "http", "urllib.request", "socket")
    assert _find_violations(_load("warehouse"), "dagster", "iplum_resource", "pipelines", *http) == []


def test_a_folder_of_the_warehouse_imports_only_the_folders_before_it() -> None:
    violations = [
        f"{module.name}, line {found.line}, imports {found.name}"
        for module in _load("warehouse")
        if (folder := _get_folder(module.name)) in FOLDERS
        for found in module.imports
        if FOLDERS.index(folder) < _rank(found.name)
    ]
    assert violations == []
    folders = {path.name for path in (ROOT / "warehouse").iterdir() if (path / "__init__.py").exists()}
    assert folders == {*FOLDERS, "sql"}


def test_there_are_no_import_cycles() -> None:
    modules = {module.name: module for module in _load(*PACKAGES)}
    imports = {
        name: {found for imported in module.imports if (found := _find_module(imported.name, modules)) != name}
        for name, module in modules.items()
    }
    TopologicalSorter({name: found - {None} for name, found in imports.items()}).prepare()


def test_import_cycles_are_detected() -> None:
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()


def test_steps_import_neither_dagster_nor_definitions() -> None:
    steps = [module for module in _load("pipelines") if _get_folder(module.name) == "steps"]
    assert len(steps) > 3
    assert _find_violations(steps, "dagster", "pipelines.defs", "pipelines.runs", "pipelines.commands") == []


def _get_folder(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def _rank(name: str) -> int:
    folder = _get_folder(name)
    return FOLDERS.index(folder) if name.startswith("warehouse.") and folder in FOLDERS else -1


def _find_module(name: str, modules: Mapping[str, Module]) -> str | None:
    """Return the module that contains an imported name; None if it is not in this project."""
    return name if name in modules else _find_module(name.rpartition(".")[0], modules) if name else None


def test_production_code_does_not_import_the_standin() -> None:
    modules = [module for module in _load(*PACKAGES) if not _is_standin(module)]
    assert _find_violations([module for module in modules if module.name != STANDIN_COMMAND], STANDIN) == []


def test_the_standin_command_imports_only_the_options_at_start() -> None:
    """The command line needs the options; the server is slow to import."""
    commands = [module for module in _load("pipelines") if module.name == STANDIN_COMMAND]
    names = [found.name for module in commands for found in module.find_imports_at_start() if found.is_of(STANDIN)]
    assert names == [f"{STANDIN}.options.Options"]


def test_the_standin_shares_no_code_with_the_client() -> None:
    violations = [
        f"{module.name}, line {found.line}, imports {found.name}"
        for module in _load("iplum_resource")
        if _is_standin(module)
        for found in module.imports
        if found.is_of(*PACKAGES) and not found.is_of(STANDIN)
    ]
    assert violations == []


def test_private_names_are_not_imported() -> None:
    violations = [
        f"{module.name}, line {found.line}, imports {found.name}"
        for module in _load(*PACKAGES, BENCHMARKS, "tests")
        for found in module.imports
        if any(part.startswith("_") and not part.endswith("__") for part in found.name.split("."))
    ]
    assert violations == []


def test_production_code_imports_neither_tests_nor_benchmarks() -> None:
    assert _find_violations(_load(*PACKAGES), "tests", "pytest", "hypothesis", BENCHMARKS) == []


def test_the_api_and_the_rivals_of_the_benchmarks_share_no_code_with_the_project() -> None:
    modules = [m for m in _load(BENCHMARKS) if Import(m.name, 0).is_of("benchmarks.api", "benchmarks.rivals")]
    assert len(modules) > 3
    assert _find_violations(modules, *PACKAGES) == []
    shared = {found.name for m in modules for found in m.imports if found.is_of(BENCHMARKS)}
    assert {name.rpartition(".")[0] for name in shared} == {"benchmarks.rivals.request"}


def test_settings_are_imported_only_from_the_package() -> None:
    inside = [m.name for m in _load("pipelines") if m.name.startswith(f"{SETTINGS}.")]
    assert inside
    outside = [
        m for m in _load(*PACKAGES, BENCHMARKS, "tests", "deploy", "docs") if not Import(m.name, 0).is_of(SETTINGS)
    ]
    assert _find_violations(outside, *inside) == []


def test_every_module_has_a_docstring() -> None:
    assert [module.name for module in _load(*PACKAGES, BENCHMARKS) if not ast.get_docstring(module.tree)] == []


def test_the_command_line_does_not_import_heavy_libraries_at_start() -> None:
    modules = {module.name: module for module in _load(*PACKAGES)}
    visited, queue = set[str](), ["pipelines.cli"]
    violations = []
    while queue:
        name = queue.pop()
        if name in visited or name not in modules:
            continue
        visited.add(name)
        for found in modules[name].find_imports_at_start():
            if found.is_of(*HEAVY):
                violations.append(f"{name}, line {found.line}, imports {found.name}")
            parts = found.name.split(".")
            queue += [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    assert violations == []
    assert SETTINGS in visited
