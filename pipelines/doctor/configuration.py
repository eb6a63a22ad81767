"""Whether the settings can work, before anybody is asked."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipelines.doctor.verdict import State, Verdict
from pipelines.settings import (
    VARIABLES,
    Settings,
    SettingsError,
    check_account,
    check_credentials,
    read_callback_token,
)
from pipelines.settings.accounts_file import FILE_NAME as ACCOUNTS_FILE
from pipelines.warehouse_folder import open_folder
from warehouse.errors import StorageFailed

_PREFIX = "IPLUM_"
_OTHERS = 0o077


def examine_environment(environ: Mapping[str, str], root: Path) -> Iterator[Verdict]:
    """Say what is odd about the variables and the `.env` file at `root`."""
    unknown = sorted(set(_list_own(environ)) - {variable.name for variable in VARIABLES})
    if unknown and not (root / ACCOUNTS_FILE).exists():  # there, variables have names of their owner's choice
        yield Verdict("configuration", State.WARNING, f"nobody reads {', '.join(unknown)}", _suggest(unknown[0]))
    file = root / ".env"
    if file.is_file() and file.stat().st_mode & _OTHERS:
        yield Verdict("configuration", State.WARNING, f"others can read the keys in {file}", f"chmod 600 {file}")


def examine_settings(settings: Settings) -> Iterator[Verdict]:
    """Say whether an account's settings fit the data that are there."""
    try:
        check_account(settings, open_folder(settings).accounts())
    except SettingsError as error:
        yield Verdict("configuration", State.WRONG, str(error))
    except StorageFailed:
        pass  # the data folder has a line of its own, which says why
    found = f"account {settings.account!r} from {settings.start_date} on, {settings.base_url}"
    yield Verdict("configuration", State.OK, found)


def examine_secrets(settings: Settings, environ: Mapping[str, str]) -> Iterator[Verdict]:
    """Say whether the credentials look like what they are, and the receiver's token, where there is one."""
    try:
        check_credentials(environ, settings.secrets)
    except SettingsError as error:
        yield Verdict("credentials", State.WRONG, str(error), "run 'iplum init', which asks for them")
    else:
        yield Verdict("credentials", State.OK, "access key, secret key and login ID are set")
    if not environ.get(settings.secrets.callback_token):
        return
    try:
        read_callback_token(environ, settings.secrets)
    except SettingsError as error:
        yield Verdict("receiver", State.WRONG, str(error))
    else:
        yield Verdict("receiver", State.OK, "the token of the callback paths is set")


def _list_own(environ: Mapping[str, str]) -> Iterator[str]:
    return (name for name in environ if name.startswith(_PREFIX))


def _suggest(unknown: str) -> str:
    close = difflib.get_close_matches(unknown, [variable.name for variable in VARIABLES], n=1)
    return f"did you mean {close[0]}?" if close else "take it out, or see .env.example for what there is"
