"""Dagster, the command line and the callback receiver, which join `iplum_resource` and `warehouse`."""

import os
from pathlib import Path

#: HOME of a user without a home folder, as Debian writes it.
NO_HOME = "/nonexistent"

# A container may run as a user without an entry in passwd. Libraries such as altair then fail when they are imported.
try:
    Path.home()
except RuntimeError:
    os.environ["HOME"] = NO_HOME
