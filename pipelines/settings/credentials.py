"""The secrets: the names of their variables, and the refusal of what can't be one.

A secret is read where it is used and never kept in `Settings`; no refusal shows one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.settings.values import SettingsError, Values

_SHORTEST_TOKEN = 16


@dataclass(frozen=True, kw_only=True)
class SecretNames:
    """Which variables hold an account's secrets: the names, never the values."""

    access_key: str = "IPLUM_ACCESS_KEY"
    secret_key: str = "IPLUM_SECRET_KEY"  # noqa: S105 a variable's name
    login_id: str = "IPLUM_LOGIN_ID"
    callback_token: str = "IPLUM_CALLBACK_TOKEN"  # noqa: S105 a variable's name


OWN_SECRETS = SecretNames()


def check_credentials(environ: Mapping[str, str], names: SecretNames = OWN_SECRETS) -> None:
    """Refuse credentials that are missing or were pasted with white space or quotes, by name, never by value."""
    for name in (names.access_key, names.secret_key, names.login_id):
        value = environ.get(name, "")
        if not value:
            raise SettingsError(f"{name} is not set; put it into .env (see .env.example) or the environment")
        if value != value.strip() or value[0] in "'\"`" or value[-1] in "'\"`" or re.search(r"\s", value):
            raise SettingsError(f"{name} has white space or quotes in or around it; give the bare value")
        if not value.isprintable():
            raise SettingsError(f"{name} has an invisible character in it; copy it again")


def read_limiter_url(environ: Mapping[str, str]) -> str | None:
    """Read where several machines keep one ceiling of requests; raises `SettingsError`."""
    return Values(environ).limiter_url("IPLUM_LIMITER_URL")


def read_callback_token(environ: Mapping[str, str], names: SecretNames = OWN_SECRETS) -> str:
    """Read the secret part of the callback paths; raises `SettingsError` where it could be guessed or misread."""
    token = environ.get(names.callback_token, "")
    if len(token) < _SHORTEST_TOKEN:
        raise SettingsError(
            f"{names.callback_token} must have {_SHORTEST_TOKEN} characters or more: who knows it can push rows; "
            "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    if not re.fullmatch(r"[!$&-.0-;=@-Z_a-z~]+", token):
        raise SettingsError(f"{names.callback_token} must be of letters, digits and - _ . ~: it is part of a URL")
    return token
