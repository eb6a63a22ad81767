"""Which texts are the address of a file, and which addresses may be connected to."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_LONGEST = 4096
# A whole URL of plain characters: no space, control character, backslash, or letter outside ASCII.
_URL = re.compile(r"https?://[!-\[\]-~]+", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def find_media_url(text: str, hosts: frozenset[str]) -> str | None:
    """Tell a file's address from a text: the address to fetch, or None for what is a text.

    It is an address only if the whole text is one http or https URL on one of `hosts` (lower case, with the port
    where it isn't the scheme's own). What is asked for over plain http is fetched over https, but for a listed
    loopback host.
    """
    if len(text) > _LONGEST or not _URL.fullmatch(text) or text.count("://") != 1:
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
    if scheme == "http" and not is_loopback(host):
        # The port of plain http is not that of https; a port that was listed is kept.
        scheme = "https"
        parts = parts._replace(netloc=shown if port in (None, 80) else named)
    return parts._replace(scheme=scheme, fragment="").geturl()


def is_loopback(host: str) -> bool:
    """Whether a host is written as an address of this machine, so that no name server has a say in it."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def may_connect(address: str, host: str) -> bool:
    """Whether the address that a host's name led to may be spoken to.

    A name must not lead into a private network; a host that is listed as an address is what it says.
    """
    if _is_address(host) or host == "localhost":
        return True
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_global)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
