"""A guard that keeps tests, and the Python programs they start, on the loopback."""

import ipaddress
import os
import sys

#: Names the file in which all processes note what they were kept from.
LOG = "TESTS_NETWORK_LOG"

_LOOKUPS = {"socket.getaddrinfo", "socket.gethostbyname"}
_SENDINGS = {"socket.connect", "socket.sendto", "socket.sendmsg"}


class NetworkReached(RuntimeError):
    """A connection or look-up off the loopback; no OSError, which a client would take for an outage."""


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
    """Refuse, and note, what would leave the loopback; the form of an audit hook."""
    if event in _LOOKUPS:
        host = arguments[0]
    elif event in _SENDINGS and isinstance(arguments[1], tuple):
        host = arguments[1][0]  # any other address is that of a Unix socket, or none
    else:
        return
    if not is_local(host):
        text = f"{event} to {host!r}"
        _note(text)
        raise NetworkReached(f"tests reach only the loopback: {text}")


def _note(text: str) -> None:
    if LOG in os.environ:
        with open(os.environ[LOG], "a", encoding="utf-8") as log:  # noqa: PTH123 - imported at every start of Python
            log.write(f"{text}\n")


sys.addaudithook(watch)
