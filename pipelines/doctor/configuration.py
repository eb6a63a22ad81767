"""Checks of the settings, without any request."""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipelines.doctor.diagnosis import Diagnosis, State
from pipelines.settings import (
    ACCOUNTS_FILE,
    DEMO,
    HOME,
    VARIABLES,
    Home,
    Settings,
    SettingsError,
    check_credentials,
    check_proxy,
    read_callback_token,
)
from pipelines.warehouse_folder import check_folder, open_folder
from warehouse.errors import FolderRefused, StorageFailed

_PREFIX = "IPLUM_"
_OTHERS = 0o077


def diagnose_home(home: Home) -> Diagnosis:
    """Return the folder of `.env` and `data/`, and why it was chosen."""
    return Diagnosis("home", State.OK, f"{home.path} ({home.reason})")


def diagnose_environment(environ: Mapping[str, str], root: Path) -> Iterator[Diagnosis]:
    """Check for unknown variables and for a readable `.env` file at `root`."""
    known = [variable.name for variable in VARIABLES]
    unknown = sorted({name for name in environ if name.startswith(_PREFIX)}.difference(known, {DEMO, HOME}))
    if unknown and not (root / ACCOUNTS_FILE).exists():  # accounts.toml may use variables of any name
        close = difflib.get_close_matches(unknown[0], known, n=1)
        fix = f"Did you mean {close[0]}?" if close else "Remove it; .env.example lists all variables."
        yield Diagnosis("configuration", State.WARNING, f"unknown: {', '.join(unknown)}", fix)
    file = root / ".env"
    if file.is_file() and file.stat().st_mode & _OTHERS:
        found = f"other users can read the keys in {file}"
        yield Diagnosis("configuration", State.WARNING, found, f"Run: chmod 600 {file}")


def diagnose_settings(settings: Settings, environ: Mapping[str, str]) -> Iterator[Diagnosis]:
    """Check an account's settings against existing data, and the proxy to iPlum."""
    try:
        check_folder(settings, open_folder(settings))
    except SettingsError as error:
        yield Diagnosis("configuration", State.WRONG, str(error))
    except StorageFailed:
        pass  # reported by the check of the data folder
    try:
        check_proxy(environ, settings.base_url)
    except SettingsError as error:
        yield Diagnosis("configuration", State.WRONG, str(error))
    found = f"account {settings.account!r} since {settings.start_date}, {settings.base_url}"
    yield Diagnosis("configuration", State.OK, found)


def diagnose_owner(settings: Settings) -> Iterator[Diagnosis]:
    """Check that all files belong to the user who runs this."""
    try:
        open_folder(settings).require_own_files()
    except FolderRefused as error:
        yield Diagnosis("data folder", State.WRONG, f"{error.failed}: {error.cause}", f"{error.fix}.")
    except StorageFailed:
        pass  # reported by the check of the data folder


def diagnose_secrets(settings: Settings, environ: Mapping[str, str]) -> Iterator[Diagnosis]:
    """Check the credentials, and the callback token if there is one."""
    try:
        check_credentials(environ, settings.secrets)
    except SettingsError as error:
        yield Diagnosis("credentials", State.WRONG, str(error), "Run 'iplum init'.")
    else:
        yield Diagnosis("credentials", State.OK, "access key, secret key and login ID are set")
    if not environ.get(settings.secrets.callback_token):
        return
    try:
        read_callback_token(environ, settings.secrets)
    except SettingsError as error:
        yield Diagnosis("receiver", State.WRONG, str(error))
    else:
        yield Diagnosis("receiver", State.OK, "the callback token is set")
