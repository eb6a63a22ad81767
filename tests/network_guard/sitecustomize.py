"""An audit hook that blocks network access of tests and of the Python programs they start, except to loopback."""

import ipaddress
import os
import sys

#: The variable with the path of the file in which all processes log blocked connections.
LOG = "TESTS_NETWORK_LOG"

_LOOKUPS = {"socket.getaddrinfo", "socket.gethostbyname"}
_CONNECTIONS = {"socket.connect", "socket.sendto", "socket.sendmsg"}


class NetworkReached(RuntimeError):
    """A blocked connection or lookup. Not an OSError, which a client would handle as an outage."""


def is_local(host: object) -> bool:
    """Whether a host is this machine, or a name that cannot be registered (RFC 6761: `.invalid`)."""
    if not host:
        return True
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    name = name.partition("%")[0].rstrip(".").lower()
    if name == "localhost" or name.endswith((".localhost", ".invalid")):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def watch(event: str, arguments: tuple[object, ...]) -> None:
    """Audit hook: log and block connections and lookups that are not on loopback."""
    if event in _LOOKUPS:
        host = arguments[0]
    elif event in _CONNECTIONS and isinstance(arguments[1], tuple):
        host = arguments[1][0]  # other addresses are Unix sockets or None
    else:
        return
    if not is_local(host):
        attempt = f"{event} to {host!r}"
        _log(attempt)
        raise NetworkReached(f"tests may connect only to loopback: {attempt}")


def _log(text: str) -> None:
    if LOG in os.environ:
        with open(os.environ[LOG], "a", encoding="utf-8") as log:  # noqa: PTH123 - this module is imported whenever Python starts
            log.write(f"{text}\n")


sys.addaudithook(watch)
