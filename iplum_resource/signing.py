"""The HMAC signature of a request (docs/iplum-api.md, "Authentication")."""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime

from requests import PreparedRequest
from requests.auth import AuthBase

from iplum_resource.credentials import Credentials

#: The only version that iPlum documents.
VERSION = "v1"


def sign(secret: str, access_key: str, login_id: str, version: str, epoch: str, path: str) -> str:
    """Return the signature of a request in Base64.

    The string to sign has six lines joined by a newline: method, access key, login ID, version, epoch and path. As
    in the vendor's code sample, access key and login ID are signed as sent, the rest in lower case. `epoch` is
    whole seconds, as sent.
    """
    lines = ("post", access_key, login_id, version.lower(), epoch.lower(), path.lower())
    digest = hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode("ascii")


def build_headers(credentials: Credentials, login_id: str, *, path: str, at: datetime) -> dict[str, str]:
    """Build the mandatory headers of a request; iPlum rejects a request without them.

    `path` starts with one slash; `at`, the time of the attempt, is cut to the second.
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
    # The signature covers UTF-8, and http.client writes headers as Latin-1: this results in the same bytes.
    return value.encode().decode("latin-1")


@dataclass(frozen=True)
class Signature(AuthBase):
    """Authentication for requests: signs the path of the prepared request, at the time of the attempt.

    Passing it as `auth` also keeps a .netrc entry from replacing the Authorization header.
    """

    credentials: Credentials
    login_id: str = field(repr=False)
    at: datetime

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the mandatory headers to the request and return it."""
        path = request.path_url
        request.headers.update(build_headers(self.credentials, self.login_id, path=path, at=self.at))
        return request
