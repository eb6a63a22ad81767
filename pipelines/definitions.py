"""The Dagster definitions that `workspace.yaml` loads, built from the environment, `.env` and `accounts.toml`."""

import os

from pipelines.defs.build import build_definitions
from pipelines.settings import find_home, load_accounts, read_environment

_home = find_home(os.environ).path
defs = build_definitions(*load_accounts(read_environment(os.environ, _home), _home))
