"""Rules for URLs: loopback hosts, and the allowed form of the API's base URL."""

import ipaddress
import re
from urllib.parse import urlsplit

_LABEL = "[a-z0-9_-]{1,63}"
# Nothing that `urlsplit` drops, such as a line feed, and nothing that a client encodes in its own way.
_BASE_URL = re.compile(
    rf"https?://(\[[0-9a-f:.]+\]|{_LABEL}(\.{_LABEL})*\.?)(:[0-9]{{1,5}})?(/[a-z0-9._~!$&'()*+,;=:/-]*)?", re.IGNORECASE
)


def is_loopback_host(host: str) -> bool:
    """Whether a host is `localhost` or a loopback address, so that no name server decides where it leads."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def find_base_url_problem(base_url: str) -> str:
    """Return why a base URL must not be used, as in "must be https", or an empty string.

    Plain http is allowed only to a loopback host. A path is allowed; user, query and fragment are not.
    """
    if any(mark in base_url for mark in "@?#"):
        return "must have no user, query or fragment"
    try:
        parts = urlsplit(base_url)
        is_usable = _BASE_URL.fullmatch(base_url) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or not parts.hostname:
        return "must be a URL like https://api.iplum.com"
    if parts.scheme == "http" and not is_loopback_host(parts.hostname):
        return "must be https: plain http is only for a loopback address"
    return ""
