"""What a refusal of an object store means: its words as cause and remedy, without a key or a signature.

Belongs here: telling refusals apart. Does not belong here: requests (`object_store`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError

from warehouse.errors import StorageFailed

# A server's code, its status, or the client's own words, and what to do; the first that is found in the error.
# The error as a whole is never shown: a server's answer may quote the key and what was signed.
_REMEDIES = (
    ("NoSuchBucket", "there is no such bucket: make it, or mend IPLUM_DATA and AWS_ENDPOINT_URL"),
    ("SignatureDoesNotMatch", "the secret key is wrong: mend AWS_SECRET_ACCESS_KEY"),
    ("InvalidAccessKeyId", "the access key is not known there: mend AWS_ACCESS_KEY_ID or AWS_ENDPOINT_URL"),
    ("ExpiredToken", "the session has expired: renew AWS_SESSION_TOKEN with its keys"),
    ("InvalidToken", "the session token is wrong: renew AWS_SESSION_TOKEN with its keys"),
    ("RequestTimeTooSkewed", "this machine's clock is wrong: switch on NTP"),
    ("AuthorizationHeaderMalformed", "the region is wrong: mend AWS_REGION"),
    ("PermanentRedirect", "the bucket is in another region: mend AWS_REGION"),
    ("AccessDenied", "not permitted: let these keys list, read, write and delete below the prefix"),
    ("SlowDown", "the store asks for patience: run again later"),
    ("169.254.", "no keys were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ("Missing", "the keys are incomplete: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ("URL scheme is not allowed", "plain http goes to a loopback address only, unless AWS_ALLOW_HTTP is true"),
    ("403 Forbidden", "not permitted: let these keys list, read, write and delete below the prefix"),
    ("301 Moved", "the bucket is in another region: mend AWS_REGION"),
    ("error sending request", "it can't be reached: see AWS_ENDPOINT_URL and the network, then run again"),
    ("timed out", "it was too slow: see the network, then run again"),
    ("error decoding response body", "its answer was cut off: see the network, then run again"),
    ("status code: 5", "the store fails: run again later"),
)
_OTHER = "see the bucket and AWS_ENDPOINT_URL, then run again"


@contextmanager
def translate_s3_errors(action: str, place: str) -> Iterator[None]:
    """Turn what the library raises while doing `action` to `place` into `StorageFailed`.

    A file that isn't there stays `FileNotFoundError`; a bucket that isn't is a refusal.
    """
    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" not in str(error):
            raise FileNotFoundError(place) from None
        raise _describe(action, place, str(error)) from None
    except (BaseError, PermissionError, TimeoutError, OSError) as error:
        raise _describe(action, place, str(error)) from None


def _describe(action: str, place: str, words: str) -> StorageFailed:
    # What follows is the library's own innards.
    said = words.partition("\n\nDebug source")[0]
    remedy = next((remedy for sign, remedy in _REMEDIES if sign in said), _OTHER)
    code = re.search(r"<Code>(\w{1,64})</Code>", said) or re.search(r"code: (\d{3} [A-Z][\w ]{1,40})", said)
    reason = f" ({code[1]})" if code else ""
    return StorageFailed(f"can't {action} {place}{reason}; {remedy}")
