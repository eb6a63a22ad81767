"""The Dagster definitions that workspace.yaml loads, built from the environment, .env and accounts.toml."""

import os

from pipelines.defs.build import build_definitions
from pipelines.settings import PROJECT, read_environment
from pipelines.settings.accounts_file import load_accounts

defs = build_definitions(*load_accounts(read_environment(os.environ), PROJECT))
