"""What `workspace.yaml` points at: the definitions as the environment, `.env` and `accounts.toml` describe them.

Belongs here: this one call. Does not belong here: anything else; `assembly` says what there is.
"""

import os

from pipelines.accounts import load_accounts
from pipelines.assembly import build_definitions
from pipelines.settings import PROJECT, read_environment

defs = build_definitions(*load_accounts(read_environment(os.environ), PROJECT))
