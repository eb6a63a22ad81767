"""Many accounts in one warehouse: `accounts.toml`, and the settings that follow for each.

[clinic-east]
access_key = "EAST_ACCESS_KEY"        # the names of environment variables
secret_key = "EAST_SECRET_KEY"
login_id = "EAST_LOGIN_ID"
callback_token = "EAST_TOKEN"         # only where callbacks are received
timezone = "America/New_York"         # and any other of `OPTIONS`
start_date = 2024-01-01
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

from pipelines.settings import PROJECT, SecretNames, Settings, SettingsError, load_settings

FILE_NAME = "accounts.toml"

#: What may differ from account to account, each as the variable `IPLUM_…` of the same name describes it.
OPTIONS = (
    "base_url",
    "start_date",
    "lookback_days",
    "timezone",
    "business_hours",
    "usage_types",
    "requests_per_second",
    "concurrency",
    "verify",
    "lang",
    "login_case",
    "media_hosts",
    "keep_content",
    "sync_at",
)
_SECRETS = tuple(field.name for field in fields(SecretNames))
_NEEDED = ("access_key", "secret_key", "login_id")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def load_accounts(environ: Mapping[str, str], root: Path = PROJECT) -> tuple[Settings, ...]:
    """Read the settings of every account: those of `accounts.toml`, or, without that file, the environment's one.

    What the file doesn't say of an account, the environment's variable says for all. Raises `SettingsError`.
    """
    file = root / FILE_NAME
    if not file.exists():
        return (load_settings(environ, root),)
    accounts = tuple(_load_account(name, entry, environ, root=root) for name, entry in _read_file(file).items())
    if not accounts:
        raise SettingsError(f"{file} names no account: add one, or remove the file")
    _refuse_alike(accounts)
    return accounts


def choose_accounts(accounts: Sequence[Settings], name: str | None) -> tuple[Settings, ...]:
    """Take the account of a name, or all where none is given; raises `SettingsError` for one that isn't there."""
    chosen = tuple(settings for settings in accounts if name in (None, settings.account))
    if not chosen:
        names = ", ".join(settings.account for settings in accounts)
        raise SettingsError(f"--account {name}: there is no such account; there are {names}")
    return chosen


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is no TOML: {error}") from error
    except OSError as error:
        raise SettingsError(
            f"{file} can't be read ({error.strerror}): let the user who runs this read it"
        ) from error


def _load_account(name: str, entry: Any, environ: Mapping[str, str], *, root: Path) -> Settings:
    if not isinstance(entry, dict):
        raise SettingsError(f"{FILE_NAME}: {name!r} must be a table of an account, as [{name}]")
    unknown = [option for option in entry if option not in (*_SECRETS, *OPTIONS)]
    if unknown:
        known = ", ".join((*_SECRETS, *OPTIONS))
        raise SettingsError(f"{FILE_NAME}: [{name}] has {unknown[0]!r}, which is none of {known}")
    own = {f"IPLUM_{option.upper()}": _write(value) for option, value in entry.items() if option in OPTIONS}
    try:
        settings = load_settings({**environ, **own, "IPLUM_ACCOUNT": name}, root)
        return replace(settings, secrets=_name_secrets(entry), is_one_of_many=True)
    except SettingsError as error:
        raise SettingsError(f"{FILE_NAME}: [{name}]: {error}") from error


def _name_secrets(entry: Mapping[str, Any]) -> SecretNames:
    for needed in _NEEDED:
        if needed not in entry:
            raise SettingsError(f"{needed} is missing: name the environment variable that holds it")
    # A token that several accounts share would not tell whose callback it is.
    given = {"callback_token": "", **{secret: entry[secret] for secret in _SECRETS if secret in entry}}
    for secret, variable in given.items():
        if not isinstance(variable, str) or not _VARIABLE.fullmatch(variable or "none"):
            # What stands here may be the secret itself, so it is not repeated.
            raise SettingsError(f"{secret} must be the name of an environment variable, not the value itself")
    return SecretNames(**given)


def _write(value: Any) -> str:
    """Write a value of TOML as the variable would be written."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(_write, value))
    return value.isoformat() if isinstance(value, date) else str(value)


def _refuse_alike(accounts: Sequence[Settings]) -> None:
    """Refuse names that Dagster or a filesystem without case can't tell apart, and a key that is used twice."""
    seen: dict[str, str] = {}
    for settings in accounts:
        for trait in (settings.name("").lower(), f"key {settings.secrets.access_key}"):
            other = seen.setdefault(trait, settings.account)
            if other != settings.account:
                raise SettingsError(
                    f"{FILE_NAME}: [{other}] and [{settings.account}] are too much alike: give each a name that "
                    "differs in more than case or '-' and '_', and an access key of its own"
                )
