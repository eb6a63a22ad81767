"""Where variables come from, the process and `.env`, and where Dagster looks for its own: the process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

PROJECT = Path(__file__).resolve().parent.parent.parent

# One planned event for each asset of a run, not one for each of its windows, which takes seconds of a year's sync.
# The UI then doesn't paint the windows of a failed run red: `iplum` names them, and they stay due.
_DAGSTER = {"DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "true"}


def read_environment(environ: Mapping[str, str], root: Path = PROJECT) -> dict[str, str]:
    """Join the variables of the process with those of the `.env` file at `root`; the process wins."""
    return {**read_env_file(root / ".env"), **environ}


def read_env_file(path: Path) -> dict[str, str]:
    """Read the variables of a `.env` file; none where there is no file. A `${...}` in a key stays as it is."""
    return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}


def adopt_environment(environ: Mapping[str, str]) -> None:
    """Put variables that came from `.env` into the process, where Dagster's own settings look for them."""
    for name, value in {**_DAGSTER, **environ}.items():
        os.environ.setdefault(name, value)
