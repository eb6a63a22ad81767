"""Whether the settings can work, before anybody is asked.

Belongs here: the variables, and who may read `.env`. Does not belong here: what a variable must look like
(`pipelines.settings`).
"""

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
from pipelines.storage import open_folder
from warehouse.errors import StorageFailed

_PREFIX = "IPLUM_"
_OTHERS = 0o077


def examine_settings(settings: Settings, environ: Mapping[str, str], root: Path) -> Iterator[Verdict]:
    """Say whether the settings fit each other and the data; `root` is where `.env` stands."""
    name = "configuration"
    try:
        check_account(settings, open_folder(settings).accounts())
    except SettingsError as error:
        yield Verdict(name, State.WRONG, str(error))
    except StorageFailed:
        pass  # the data folder has a line of its own, which says why
    unknown = sorted(set(_list_own(environ)) - {variable.name for variable in VARIABLES})
    if unknown:
        yield Verdict(name, State.WARNING, f"nobody reads {', '.join(unknown)}", _suggest(unknown[0]))
    file = root / ".env"
    if file.is_file() and file.stat().st_mode & _OTHERS:
        yield Verdict(name, State.WARNING, f"others can read the keys in {file}", f"chmod 600 {file}")
    given = sum(bool(environ.get(variable.name)) for variable in VARIABLES)
    yield Verdict(name, State.OK, f"account {settings.account!r}, {given} variables set, {settings.base_url}")


def examine_credentials(environ: Mapping[str, str]) -> Verdict:
    """Say whether all three are there and look like what they are."""
    try:
        check_credentials(environ)
    except SettingsError as error:
        return Verdict("credentials", State.WRONG, str(error), "run 'iplum init', which asks for them")
    return Verdict("credentials", State.OK, "access key, secret key and login ID are set")


def examine_receiver(environ: Mapping[str, str]) -> Iterator[Verdict]:
    """Say whether a receiver could start, where one is meant to."""
    if not environ.get("IPLUM_CALLBACK_TOKEN"):
        return
    try:
        read_callback_token(environ)
    except SettingsError as error:
        yield Verdict("receiver", State.WRONG, str(error))
    else:
        yield Verdict("receiver", State.OK, "the token of the callback paths is set")


def _list_own(environ: Mapping[str, str]) -> Iterator[str]:
    return (name for name in environ if name.startswith(_PREFIX))


def _suggest(unknown: str) -> str:
    close = difflib.get_close_matches(unknown, [variable.name for variable in VARIABLES], n=1)
    return f"did you mean {close[0]}?" if close else "take it out, or see .env.example for what there is"
