"""Translation of S3 errors into `StorageFailed`, with cause and fix but without keys or signatures."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError

from warehouse.errors import StorageFailed

# A code, status or phrase in the error, and its cause and fix; the first match counts. The error's own text is
# never shown, because a server may quote the key and the signed request.
_ALLOW_KEYS = "Let these keys list, read, write and delete below the prefix"
_CAUSES = (
    ("NoSuchBucket", "the bucket does not exist", "Create it, or correct IPLUM_DATA and AWS_ENDPOINT_URL"),
    ("SignatureDoesNotMatch", "the secret key is wrong", "Correct AWS_SECRET_ACCESS_KEY"),
    ("InvalidAccessKeyId", "the access key is unknown", "Correct AWS_ACCESS_KEY_ID or AWS_ENDPOINT_URL"),
    ("ExpiredToken", "the session has expired", "Renew AWS_SESSION_TOKEN and its keys"),
    ("InvalidToken", "the session token is wrong", "Renew AWS_SESSION_TOKEN and its keys"),
    ("RequestTimeTooSkewed", "this machine's clock is wrong", "Turn on NTP"),
    ("AuthorizationHeaderMalformed", "the region is wrong", "Correct AWS_REGION"),
    ("PermanentRedirect", "the bucket is in another region", "Correct AWS_REGION"),
    ("AccessDenied", "not permitted", _ALLOW_KEYS),
    ("SlowDown", "the store is overloaded", "Run again later"),
    ("169.254.", "no keys were found", "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ("Missing", "the keys are incomplete", "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ("URL scheme is not allowed", "plain http is only for a loopback address", "Use https or AWS_ALLOW_HTTP=true"),
    ("403 Forbidden", "not permitted", _ALLOW_KEYS),
    ("301 Moved", "the bucket is in another region", "Correct AWS_REGION"),
    ("error sending request", "the store cannot be reached", "Check AWS_ENDPOINT_URL and the network"),
    ("timed out", "the store was too slow", "Check the network, then run again"),
    ("error decoding response body", "the response was truncated", "Check the network, then run again"),
    ("status code: 5", "the store's server failed", "Run again later"),
)
_OTHER = ("the store rejected the request", "Check the bucket and AWS_ENDPOINT_URL, then run again")


@contextmanager
def translate_s3_errors(action: str, place: str) -> Iterator[None]:
    """Raise the library's errors while doing `action` to `place` as `StorageFailed`.

    A missing file remains a `FileNotFoundError`; a missing bucket does not.
    """
    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" not in str(error):
            raise FileNotFoundError(place) from None
        raise _build_error(action, place, str(error)) from None
    except (BaseError, PermissionError, TimeoutError, OSError) as error:
        raise _build_error(action, place, str(error)) from None


def _build_error(action: str, place: str, text: str) -> StorageFailed:
    # The rest is the library's internals.
    said = text.partition("\n\nDebug source")[0]
    cause, fix = next(((cause, fix) for sign, cause, fix in _CAUSES if sign in said), _OTHER)
    code = re.search(r"<Code>(\w{1,64})</Code>", said) or re.search(r"code: (\d{3} [A-Z][\w ]{1,40})", said)
    reason = f" ({code[1]})" if code else ""
    return StorageFailed(f"cannot {action} {place}{reason}", cause, fix)
