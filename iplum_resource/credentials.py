"""The credentials of an iPlum account, and the check for values that were pasted badly."""

import unicodedata
from dataclasses import dataclass, field

# What a word processor or a keyboard of another language puts around a pasted key, besides Unicode's own classes of
# opening and closing quotes.
_QUOTES = "\"'`´„‚′″＂＇"  # noqa: RUF001
_QUOTE_CLASSES = {"Pi", "Pf"}


@dataclass(frozen=True)
class Credentials:
    """The two keys and the administrator's login ID, as shown at https://my.iplum.com under *API & Call Backs*.

    The repr shows none of them.

    Raises:
        ValueError: A value is unusable. The message names the field, never the value.

    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    login_id: str = field(repr=False)

    def __post_init__(self) -> None:
        for name in ("access_key", "secret_key", "login_id"):
            problem = find_credential_problem(getattr(self, name))
            if problem:
                raise ValueError(f"{name} {problem}")


def find_credential_problem(value: str) -> str:
    """Return why a credential is unusable, as in "has quotes around it", or an empty string."""
    if not value.strip():
        return "is empty"
    if any(letter.isspace() for letter in value):
        return "has white space in or around it"
    if any(letter in _QUOTES or unicodedata.category(letter) in _QUOTE_CLASSES for letter in (value[0], value[-1])):
        return "has quotes around it"
    if not value.isprintable():
        return "has an invisible character in it"
    return ""
