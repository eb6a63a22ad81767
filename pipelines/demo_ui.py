"""`make demo-ui`: Dagster's UI on what `make demo` made, with the stand-in API behind it to try anything on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pipelines.dagster_home import prepare_dagster_home
from pipelines.demo import FOLDER, describe_account, run_standin
from pipelines.settings import PROJECT, load_settings


def main() -> None:
    """Run both until Ctrl-C; options go to `dagster dev`."""
    with run_standin() as (url, _):
        environ = describe_account(url, FOLDER, began=datetime.now(UTC))
        sys.exit(subprocess.call(write_command(*sys.argv[1:]), cwd=PROJECT, env=prepare_environment(environ)))  # noqa: S603 our own


def prepare_environment(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Add where Dagster's history is, which is made where it isn't there."""
    return {**environ, "DAGSTER_HOME": str(prepare_dagster_home(load_settings(environ, PROJECT)))}


def write_command(*options: str) -> list[str]:
    """Write the command that starts Dagster's UI and daemon."""
    return [str(Path(sys.executable).parent / "dagster"), "dev", "-w", "workspace.yaml", *options]


if __name__ == "__main__":
    main()
