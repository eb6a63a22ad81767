"""Who may ask: the mandatory headers, the age of the epoch, the signature."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from iplum_resource.standin.options import Options
from iplum_resource.standin.refusal import Refused

_EPOCH_DIGITS = 12


def verify_headers(headers: Mapping[str, str], path: str, *, options: Options) -> None:
    """Let through only what the account's administrator has signed just now.

    The representation is that of the document's code sample; whether its login ID is lower-cased, where
    prose and code disagree, is `options.sign_login`.

    Raises:
        Refused: 401, whichever header is missing, stale or wrong.

    """
    access_key = headers.get("X-iPlumAuth-AccessKey", "").strip()
    login = headers.get("X-iPlumAuth-Username", "").strip()
    version = headers.get("X-iPlumAuth-Version", "").strip().lower()
    epoch = headers.get("X-iPlumAuth-EpochDateTime", "").strip()
    scheme, _, signature = headers.get("Authorization", "").strip().partition(" ")
    known = access_key == options.access_key and login.lower() == options.login_id.lower()
    if not known or version != "v1" or scheme != "iPlumAuth" or not _is_fresh(epoch, options):
        raise Refused(401)
    signed_login = login.lower() if options.sign_login == "lower" else login
    representation = "\n".join(("post", access_key, signed_login, version, epoch, path.lower()))
    expected = _sign(options.secret_key, representation)
    if not hmac.compare_digest(expected, signature.encode("latin-1")):
        raise Refused(401)


def read_clock(options: Options) -> datetime:
    """Tell the time by the server's clock, right or wrong; aware UTC."""
    return options.clock() + options.clock_offset


def _is_fresh(epoch: str, options: Options) -> bool:
    if not (epoch.isascii() and epoch.isdigit() and len(epoch) <= _EPOCH_DIGITS):
        return False
    age = read_clock(options) - datetime(1970, 1, 1, tzinfo=UTC)
    return abs(age - timedelta(seconds=int(epoch))) <= options.max_epoch_age


def _sign(secret_key: str, representation: str) -> bytes:
    digest = hmac.new(secret_key.encode(), representation.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest)
