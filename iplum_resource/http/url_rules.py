"""Rules for URLs: which hosts are loopback, and what the base URL of the API may look like."""

import ipaddress
from urllib.parse import urlsplit


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
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        return "must be a URL like https://api.iplum.com"
    if not parts.hostname or parts.scheme not in {"https", "http"} or port == 0:
        return "must be a URL like https://api.iplum.com"
    if parts.query or parts.fragment or "@" in parts.netloc:
        return "must have no user, query or fragment"
    if parts.scheme == "http" and not is_loopback_host(parts.hostname):
        return "must be https: plain http is only for a loopback address"
    return ""
