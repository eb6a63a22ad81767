"""Checks of the secrets. They are read where they are used and never stored in `Settings`; no error shows one."""

import re
from collections.abc import Mapping

from iplum_resource.credentials import find_credential_problem
from pipelines.settings.parsers import SettingsError
from pipelines.settings.settings import OWN_SECRETS, SecretNames

_MIN_TOKEN_LENGTH = 16


def check_credentials(environ: Mapping[str, str], names: SecretNames = OWN_SECRETS) -> None:
    """Raise `SettingsError` for credentials that are missing or were pasted badly."""
    for name in (names.access_key, names.secret_key, names.login_id):
        value = environ.get(name, "")
        if not value:
            raise SettingsError(f"{name} is not set: add it to .env (see .env.example) or to the environment")
        _check_credential(name, value)


def check_given_secrets(environ: Mapping[str, str], names: SecretNames = OWN_SECRETS) -> None:
    """Raise `SettingsError` for a secret that is set but unusable, for commands that may need none of them."""
    for name in (names.access_key, names.secret_key, names.login_id):
        _check_credential(name, environ.get(name, ""))
    if environ.get(names.callback_token):
        read_callback_token(environ, names)


def _check_credential(name: str, value: str) -> None:
    problem = value and find_credential_problem(value)
    if problem:
        raise SettingsError(f"{name} {problem}: enter the value alone")


def read_callback_token(environ: Mapping[str, str], names: SecretNames = OWN_SECRETS) -> str:
    """Return the secret part of the callback paths; raises `SettingsError` if it is weak or not fit for a URL."""
    token = environ.get(names.callback_token, "")
    if len(token) < _MIN_TOKEN_LENGTH:
        raise SettingsError(
            f"{names.callback_token} must have at least {_MIN_TOKEN_LENGTH} characters, because anyone who knows it "
            "can send records. Create one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    if not re.fullmatch(r"[!$&-.0-;=@-Z_a-z~]+", token):
        raise SettingsError(
            f"{names.callback_token} must consist of letters, digits and - _ . ~, because it is part of a URL"
        )
    return token
