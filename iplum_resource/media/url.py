"""Media URLs, and the SSRF check of the addresses they lead to.

Anyone can text a URL, so URLs are parsed as an attacker might write them (docs/design.md, "Text or media URL").
"""

import ipaddress
import re
from urllib.parse import urlsplit

from iplum_resource.http.url_rules import is_loopback_host

_MAX_LENGTH = 4096
# A whole URL of plain characters: no space, control character, backslash, or letter outside ASCII.
_URL = re.compile(r"https?://[!-\[\]-~]+", re.IGNORECASE)
# NAT64, 6to4 and Teredo addresses contain another address; site-local ones are private.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "fec0::/10")
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def find_media_url(text: str, hosts: frozenset[str]) -> str | None:
    """Return the URL to download, or None if the text is not a media URL.

    A media URL is one whole http or https URL on one of `hosts` (lower case, with the port if it is not the
    default). A URL with plain http is returned as https, except for a listed loopback host.
    """
    if len(text) > _MAX_LENGTH or not _URL.fullmatch(text) or text.count("://") != 1:
        return None
    try:
        parts = urlsplit(text)
        host, port, scheme = parts.hostname or "", parts.port, parts.scheme.lower()
    except ValueError:
        return None
    if "@" in parts.netloc or not host or host.endswith("."):
        return None
    shown = f"[{host}]" if ":" in host else host
    named = shown if port in (None, _DEFAULT_PORTS[scheme]) else f"{shown}:{port}"
    if named not in hosts:
        return None
    if scheme == "http" and not is_loopback_host(host):
        # Port 80 belongs to plain http; any other listed port is kept.
        scheme = "https"
        parts = parts._replace(netloc=shown if port in (None, 80) else named)
    return parts._replace(scheme=scheme, fragment="").geturl()


def is_address_allowed(address: str, host: str) -> bool:
    """Whether a connection to an address is allowed (SSRF check).

    A host name must not lead into a private network. A host listed as an address is allowed.
    """
    if _is_address(host) or is_loopback_host(host):
        return True
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    public = mapped or found
    return public.is_global and not public.is_multicast and not any(public in network for network in _NOT_PUBLIC)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
