"""The accounts of `accounts.toml`, and their settings.

[clinic-east]
access_key = "EAST_ACCESS_KEY"        # names of environment variables
secret_key = "EAST_SECRET_KEY"
login_id = "EAST_LOGIN_ID"
callback_token = "EAST_TOKEN"         # only for callbacks
timezone = "America/New_York"         # and any other of `ACCOUNT_OPTIONS`
start_date = 2024-01-01
"""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

from pipelines.settings.environment import DEMO
from pipelines.settings.parsers import SettingsError
from pipelines.settings.settings import VARIABLES, SecretNames, Settings, load_settings

ACCOUNTS_FILE = "accounts.toml"
#: The options of an account, each described by the variable `IPLUM_…` of the same name.
ACCOUNT_OPTIONS = tuple(one.name.removeprefix("IPLUM_").lower() for one in VARIABLES if one.per_account)
_SECRETS = tuple(field.name for field in fields(SecretNames))
_NEEDED = ("access_key", "secret_key", "login_id")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def load_accounts(environ: Mapping[str, str], root: Path) -> tuple[Settings, ...]:
    """Load the settings of the accounts in `accounts.toml`, or of the environment without that file.

    The environment's variables apply to every account unless the file says otherwise. The demo ignores the file.
    Raises `SettingsError`.
    """
    file = root / ACCOUNTS_FILE
    if environ.get(DEMO) or not file.exists():
        return (load_settings(environ, root),)
    accounts = tuple(_load_account(name, entry, environ, root=root) for name, entry in _read_file(file).items())
    if not accounts:
        raise SettingsError(f"{file} has no account: add one, or remove the file")
    _check_distinct(accounts)
    return accounts


def choose_accounts(accounts: Sequence[Settings], name: str | None) -> tuple[Settings, ...]:
    """Return the account with this name, or all if `name` is None; raises `SettingsError` for an unknown name."""
    chosen = tuple(settings for settings in accounts if name in (None, settings.account))
    if not chosen:
        names = [settings.account for settings in accounts]
        close = difflib.get_close_matches(str(name), names, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise SettingsError(f"--account {name}: unknown account; known are {', '.join(names)}.{hint}")
    return chosen


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not valid TOML: {error}") from error
    except OSError as error:
        raise SettingsError(f"cannot read {file} ({error.strerror}): let the user who runs this read it") from error


def _load_account(name: str, entry: Any, environ: Mapping[str, str], *, root: Path) -> Settings:
    if not isinstance(entry, dict):
        raise SettingsError(f"{ACCOUNTS_FILE}: {name!r} must be a table, [{name}]")
    unknown = [option for option in entry if option not in (*_SECRETS, *ACCOUNT_OPTIONS)]
    if unknown:
        known = ", ".join((*_SECRETS, *ACCOUNT_OPTIONS))
        raise SettingsError(f"{ACCOUNTS_FILE}: [{name}] has the unknown option {unknown[0]!r}; known are {known}")
    own = {
        f"IPLUM_{option.upper()}": _format_value(value) for option, value in entry.items() if option in ACCOUNT_OPTIONS
    }
    try:
        settings = load_settings({**environ, **own, "IPLUM_ACCOUNT": name}, root)
        return replace(settings, secrets=_parse_secret_names(entry), is_one_of_many=True)
    except SettingsError as error:
        raise SettingsError(f"{ACCOUNTS_FILE}: [{name}]: {error}") from error


def _parse_secret_names(entry: Mapping[str, Any]) -> SecretNames:
    for needed in _NEEDED:
        if needed not in entry:
            raise SettingsError(f"{needed} is missing: set it to the name of an environment variable")
    # A token shared by several accounts would not identify the account of a callback.
    given = {"callback_token": "", **{secret: entry[secret] for secret in _SECRETS if secret in entry}}
    for secret, variable in given.items():
        if not isinstance(variable, str) or not _VARIABLE.fullmatch(variable or "none"):
            # The value may be the secret itself, so it is not shown.
            raise SettingsError(f"{secret} must be the name of an environment variable, not the value itself")
    return SecretNames(**given)


def _format_value(value: Any) -> str:
    """Format a TOML value as its variable would be written."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(_format_value, value))
    return value.isoformat() if isinstance(value, date) else str(value)


def _check_distinct(accounts: Sequence[Settings]) -> None:
    """Reject names that Dagster or a case-insensitive filesystem cannot distinguish, and a key used twice."""
    seen: dict[str, str] = {}
    for settings in accounts:
        for trait in (settings.name("").lower(), f"key {settings.secrets.access_key}"):
            other = seen.setdefault(trait, settings.account)
            if other != settings.account:
                raise SettingsError(
                    f"{ACCOUNTS_FILE}: [{other}] and [{settings.account}] cannot be distinguished: give each a "
                    "name that differs in more than case or '-' and '_', and a separate access key"
                )
