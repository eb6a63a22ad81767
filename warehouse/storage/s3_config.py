"""A bucket of an object store as the place of the data: its name, and how it is reached."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# The variables that users of S3 know. Others, as those that give a machine its role, the library reads by itself.
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
_LOOPBACK = re.compile(r"localhost|::1|127(\.[0-9]{1,3}){3}")


@dataclass(frozen=True)
class Bucket:
    """A bucket, a prefix in it, which may be empty, and `options`: variables of `OPTIONS` with their values."""

    name: str
    prefix: str = ""
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def address(self) -> str:
        """The address as the user gives it: s3://bucket/prefix."""
        return f"s3://{self.name}/{self.prefix}".rstrip("/")

    def __str__(self) -> str:
        return self.address


def read_bucket(address: str, environ: Mapping[str, str]) -> Bucket:
    """Read an address and the variables that go with it; raises `ValueError`, which names the wrong one."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError("IPLUM_DATA must be a folder, or as s3://bucket/prefix: letters, digits and - _ . =")
    options = {name: environ[name] for name in OPTIONS if environ.get(name)}
    if ("AWS_ACCESS_KEY_ID" in options) != ("AWS_SECRET_ACCESS_KEY" in options):
        raise ValueError(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together: set both, or neither for a role"
        )
    endpoint = urlsplit(options.get("AWS_ENDPOINT_URL_S3") or options.get("AWS_ENDPOINT_URL") or "https://s3")
    if endpoint.scheme not in {"http", "https"} or not endpoint.hostname or endpoint.username:
        raise ValueError("AWS_ENDPOINT_URL must be a plain URL, as https://s3.eu-central-1.amazonaws.com")
    if endpoint.scheme == "http":
        if not _LOOPBACK.fullmatch(endpoint.hostname) and options.get("AWS_ALLOW_HTTP", "").lower() != "true":
            raise ValueError(
                "AWS_ENDPOINT_URL must be https; on a network that is yours, AWS_ALLOW_HTTP=true allows http"
            )
        options["AWS_ALLOW_HTTP"] = "true"
    return Bucket(match[1], match[2].strip("/"), tuple(options.items()))
