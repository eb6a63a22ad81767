"""Who is asking, and the proof of it that every request carries."""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime

from requests import PreparedRequest
from requests.auth import AuthBase

#: The only version the document names ("Steps to Generate HMAC Signature", step 2).
VERSION = "v1"
_QUOTES = "\"'`“”‘’"  # noqa: RUF001 - typographic quotes are what a word processor puts around a pasted key


@dataclass(frozen=True)
class Credentials:
    """Find a badly pasted key before the first request, and never see one in a log.

    The three values of https://my.iplum.com, "API & Call Backs": the two keys and the administrator's login
    ID. Raises ValueError naming the field, never its value, for one that is empty, has white space or
    quotes around it, or has a control character in it. The repr shows none of them.
    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    login_id: str = field(repr=False)

    def __post_init__(self) -> None:
        for name in ("access_key", "secret_key", "login_id"):
            _require_clean(name, getattr(self, name))


def _require_clean(name: str, value: str) -> None:
    if not value.strip():
        raise ValueError(f"{name} is empty")
    if value != value.strip():
        raise ValueError(f"{name} has white space around it")
    if value[0] in _QUOTES or value[-1] in _QUOTES:
        raise ValueError(f"{name} has quotes around it")
    if not value.isprintable():
        raise ValueError(f"{name} has a line break or another control character in it")


def sign(secret: str, access_key: str, login_id: str, version: str, epoch: str, path: str) -> str:
    """Prove to iPlum that a request comes from the owner of the secret key.

    The six lines of the document's code sample ("Steps to Generate HMAC Signature", step 3), which leaves
    the access key and the login ID as they are sent and lower-cases the rest, joined by a newline; then
    HMAC-SHA256 under the secret's UTF-8 bytes, in standard Base64. `epoch` is in whole seconds, as sent.
    """
    lines = ("post", access_key, login_id, version.lower(), epoch.lower(), path.lower())
    digest = hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode("ascii")


def build_headers(credentials: Credentials, login_id: str, *, path: str, at: datetime) -> dict[str, str]:
    """Get the headers without which iPlum answers 401 (document, "Request Headers").

    `login_id` is the login ID as it shall be sent, which is also how it is signed; `path` starts with one
    slash; `at` is an aware instant, cut to the second.
    """
    epoch = str(int(at.timestamp()))
    key = credentials.access_key
    signature = sign(credentials.secret_key, key, login_id, VERSION, epoch, path)
    return {
        "X-iPlumAuth-AccessKey": _as_header(key),
        "X-iPlumAuth-Username": _as_header(login_id),
        "X-iPlumAuth-EpochDateTime": epoch,
        "X-iPlumAuth-Version": VERSION,
        "Authorization": f"iPlumAuth {signature}",
        "Content-Type": "application/json",
    }


def _as_header(value: str) -> str:
    # The signature is over UTF-8, and http.client writes a header as Latin-1: these are the same bytes.
    return value.encode().decode("latin-1")


@dataclass(frozen=True)
class Signature(AuthBase):
    """Sign what is really sent: the path of the prepared request, at the instant of the attempt.

    Handed to requests as `auth`, it also keeps a .netrc entry from replacing the Authorization header.
    """

    credentials: Credentials
    login_id: str = field(repr=False)
    at: datetime

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the headers of the document's "Request Headers" to the request and return it."""
        path = request.path_url
        request.headers.update(build_headers(self.credentials, self.login_id, path=path, at=self.at))
        return request
