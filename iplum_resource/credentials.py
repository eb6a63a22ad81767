"""The credentials of an iPlum account, and the check for values that were pasted badly."""

from dataclasses import dataclass, field

_QUOTES = "\"'`“”‘’"  # noqa: RUF001 - typographic quotes are what a word processor puts around a pasted key


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
    if value[0] in _QUOTES or value[-1] in _QUOTES:
        return "has quotes around it"
    if not value.isprintable():
        return "has an invisible character in it"
    return ""
