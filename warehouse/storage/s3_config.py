"""Configuration of an S3 bucket: its address and the AWS variables."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

# Variables passed on to the library. It reads others on its own, such as those of a machine's role.
OPTIONS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ALLOW_HTTP",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_KMS_KEY_ID",
)
_ADDRESS = re.compile(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9])((?:/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*)/?")


@dataclass(frozen=True)
class Bucket:
    """A bucket, a prefix that may be empty, and the values of variables in `OPTIONS`."""

    name: str
    prefix: str = ""
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def address(self) -> str:
        """The address as users write it: `s3://bucket/prefix`."""
        return f"s3://{self.name}/{self.prefix}".rstrip("/")

    @property
    def endpoint(self) -> str:
        """The URL of the S3 server."""
        options = dict(self.options)
        return options.get("AWS_ENDPOINT_URL_S3") or options.get("AWS_ENDPOINT_URL") or "https://s3.amazonaws.com"

    def __str__(self) -> str:
        return self.address


def parse_bucket(address: str, environ: Mapping[str, str]) -> Bucket:
    """Parse an address and its AWS variables; raises `ValueError`, which names the wrong one.

    Whether plain http is acceptable is decided by the settings.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError("IPLUM_DATA must be a folder or s3://bucket/prefix (letters, digits and - _ . =)")
    options = {name: environ[name] for name in OPTIONS if environ.get(name)}
    if ("AWS_ACCESS_KEY_ID" in options) != ("AWS_SECRET_ACCESS_KEY" in options):
        raise ValueError(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: set both, or neither to use a role"
        )
    bucket = Bucket(match[1], match[2].strip("/"), tuple(options.items()))
    try:
        endpoint = urlsplit(bucket.endpoint)
        is_plain = endpoint.scheme in {"http", "https"} and bool(endpoint.hostname) and (endpoint.port or 1) > 0
    except ValueError:
        is_plain = False
    if not is_plain or any(mark in bucket.endpoint for mark in "@?# "):
        raise ValueError("AWS_ENDPOINT_URL must be a plain URL such as https://s3.eu-central-1.amazonaws.com")
    if endpoint.scheme == "http":
        options["AWS_ALLOW_HTTP"] = "true"
    return replace(bucket, options=tuple(options.items()))
