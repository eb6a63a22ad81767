"""The environment: variables of the process and of `.env`, and Dagster's own variables."""

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

#: Set by the demo for its processes. They read neither `.env` nor `accounts.toml`, which may describe a real account.
DEMO = "IPLUM_DEMO"
PROJECT = Path(__file__).resolve().parent.parent.parent

# One planned event per asset of a run instead of one per window, which saves seconds in a year's sync. The UI then
# does not mark the windows of a failed run red; `iplum` names them, and they remain due.
_DAGSTER = {"DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "true"}


def read_environment(environ: Mapping[str, str], root: Path = PROJECT) -> dict[str, str]:
    """Return the variables of the process and of the `.env` file at `root`; the process wins.

    In the demo, those of the process only.
    """
    if environ.get(DEMO):
        return dict(environ)
    variables = read_env_file(root / ".env")
    variables.pop(DEMO, None)
    return {**variables, **environ}


def read_env_file(path: Path) -> dict[str, str]:
    """Read the variables of a `.env` file, if it exists. `${...}` in a value is not replaced."""
    return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}


def adopt_environment(environ: Mapping[str, str]) -> None:
    """Set variables from `.env` in this process, where Dagster looks for them."""
    for name, value in {**_DAGSTER, **environ}.items():
        os.environ.setdefault(name, value)
