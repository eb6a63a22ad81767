"""The variables of `.env` for Dagster's processes, named in `dagster.yaml`."""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from pipelines.settings import read_env_file

# `dagster.yaml` may name a loader, but no public name reaches the class it must have.
_Loader: Any = import_module("dagster._core.secrets.env_file").EnvFileLoader


class EnvFile(_Loader):  # type: ignore[misc]
    """The variables of `.env` in the working folder that the process does not have.

    Dagster's own loader lets the file override the variables of the process.
    """

    def get_secrets_for_environment(self, location_name: str | None) -> dict[str, str]:  # noqa: ARG002 - overrides
        """Return the variables to set; raises `SettingsError` for a file that cannot be read."""
        return {name: value for name, value in read_env_file(Path(".env")).items() if name not in os.environ}
