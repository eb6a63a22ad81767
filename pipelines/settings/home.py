"""The home of this installation: the folder with `.env`, `accounts.toml` and `data/`, and the folder of the code."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from pipelines import NO_HOME
from pipelines.settings.parsers import Raw, SettingsError, parse_folder

HOME = "IPLUM_HOME"
#: The folder that contains the packages: a checkout, or `site-packages`.
PROJECT = Path(__file__).resolve().parent.parent.parent
IS_CHECKOUT = (PROJECT / "pyproject.toml").is_file() and (PROJECT / "workspace.yaml").is_file()
#: README.md, `docs/` and `deploy/` are here. A wheel installs them under `share/`.
SHARED = PROJECT if IS_CHECKOUT else Path(sys.prefix) / "share" / "iplum-warehouse"
#: The command as a user types it in the home.
PROGRAM = ".venv/bin/iplum" if IS_CHECKOUT else "iplum"


@dataclass(frozen=True)
class Home:
    """The folder with `.env` and `data/`, and why it was chosen."""

    path: Path
    reason: str


def find_home(environ: Mapping[str, str]) -> Home:
    """Return the home; raises `SettingsError` if there is none.

    It is IPLUM_HOME if set, else the current folder if it holds `.env` or `data/`, else the checkout, else the
    platform's folder for user data. It need not exist.
    """
    current = _find_current_folder()
    if environ.get(HOME):
        return Home(_parse_home(environ, current), f"set by {HOME}")
    if current is not None:
        for name, exists in ((".env", os.path.isfile), ("data", os.path.isdir)):
            if exists(current / name):
                return Home(current, f"the current folder, which holds {name}")
    if IS_CHECKOUT:
        return Home(PROJECT, "the checkout")
    if os.environ.get("HOME") == NO_HOME:
        raise SettingsError(f"no folder for .env and data: this user has no home folder. Set {HOME} to a folder")
    return Home(platformdirs.user_data_path("iplum", appauthor=False), "the folder for user data")


def _find_current_folder() -> Path | None:
    """Return the current folder; None if it was deleted or cannot be accessed."""
    try:
        return Path.cwd()
    except OSError:
        return None


def _parse_home(environ: Mapping[str, str], current: Path | None) -> Path:
    path = parse_folder(Raw(HOME, environ[HOME], environ, current or Path("/")))
    if os.path.lexists(path) and not path.is_dir():
        raise SettingsError(f"{HOME} must be a folder, but {str(path)!r} is a file")
    return path
