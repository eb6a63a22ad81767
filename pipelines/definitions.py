"""What `workspace.yaml` points at: the definitions as the environment and `.env` describe them.

Belongs here: this one call. Does not belong here: anything else; `assembly` says what there is.
"""

import os

from pipelines.assembly import build_definitions
from pipelines.settings import PROJECT, load_settings, read_environment

defs = build_definitions(load_settings(read_environment(os.environ), PROJECT))
