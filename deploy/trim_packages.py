"""Make an installation smaller: remove parts of packages that iplum never loads, and compile what it does load.

`python deploy/trim_packages.py` changes the environment of the Python that runs it: about 90 MB of test suites, source
maps, headers and Arrow's network protocol are removed. pip's own compilation, which includes what is never loaded,
would add 140 MB; loading the programs once adds 50 MB.
"""

import importlib
import os
import shutil
import sys
import sysconfig
from pathlib import Path

_UNUSED = (
    "pandas/tests",
    "pyarrow/tests",
    "pyarrow/include",
    "numpy/**/tests",
    "pyarrow/*flight*",
    "pip/**/__pycache__",
    "dagster_webserver/webapp/build/**/*.map",
)
_PROGRAMS = (
    "pipelines.cli",
    "pipelines.definitions",
    "pipelines.dagster_ui",
    "pipelines.demo",
    "pipelines.receiver.server",
    "iplum_resource.standin.server",
    "warehouse.outputs.report",
    "dagster._cli.api",
    "dagster._daemon.cli",
)


def remove_unused(packages: Path) -> None:
    """Remove the unused files and folders that exist in a folder of packages."""
    for pattern in _UNUSED:
        for path in list(packages.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def compile_used() -> None:
    """Import the programs, so that their bytecode is stored; their users may not be allowed to write it."""
    sys.dont_write_bytecode = False
    # No settings of an account are read: a wrong one would fail the import.
    for name in [name for name in os.environ if name.startswith("IPLUM_")]:
        del os.environ[name]
    os.environ["IPLUM_HOME"] = "/nonexistent"
    for name in _PROGRAMS:
        importlib.import_module(name)


if __name__ == "__main__":
    remove_unused(Path(sysconfig.get_path("purelib")))
    compile_used()
