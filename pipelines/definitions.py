"""The Dagster definitions that `workspace.yaml` loads, built from the environment, `.env` and `accounts.toml`."""

import os

from pipelines.defs.build import build_definitions
from pipelines.settings import PROJECT, load_accounts, read_environment

defs = build_definitions(*load_accounts(read_environment(os.environ), PROJECT))
