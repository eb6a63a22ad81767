"""The guard itself: that it lets the loopback through and nothing else, here and in subprocesses."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.network_guard.sitecustomize import NetworkReached, is_local

# Kept for documentation (RFC 5737), as .example is: should the guard fail, no host is reached.
OUTSIDE = "192.0.2.1"


def _take_log(network_log: Path) -> list[str]:
    """Return what was refused, and forget it: here it is what the test wants."""
    lines = network_log.read_text().splitlines()
    network_log.write_text("")
    return lines


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
        "localhost",
        "LOCALHOST.",
        b"localhost",
        None,
        "",
        "a.invalid",
    ],
)
def test_what_is_local(host: object) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "host",
    [OUTSIDE, "10.0.0.1", "169.254.169.254", "::ffff:192.0.2.1", "fe80::1%eth0", "api.iplum.com", "invalid.example"],
)
def test_what_is_not(host: str) -> None:
    assert not is_local(host)


def test_a_connection_is_refused_before_it_is_made(network_log: Path) -> None:
    with socket.socket() as outward, pytest.raises(NetworkReached, match=OUTSIDE):
        outward.connect((OUTSIDE, 443))
    with socket.socket(type=socket.SOCK_DGRAM) as outward, pytest.raises(NetworkReached, match=OUTSIDE):
        outward.sendto(b"", (OUTSIDE, 53))
    assert len(_take_log(network_log)) == 2


def test_a_look_up_is_refused(network_log: Path) -> None:
    with pytest.raises(NetworkReached, match=r"name\.example"):
        socket.getaddrinfo("name.example", 443)
    assert _take_log(network_log) == ["socket.getaddrinfo to 'name.example'"]


def test_the_loopback_is_open(network_log: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(("localhost", listener.getsockname()[1]), timeout=20),
    ):
        assert _take_log(network_log) == []


def test_a_thread_can_not_hide_it(network_log: Path) -> None:
    def reach() -> None:
        with socket.socket() as outward, pytest.raises(NetworkReached):
            outward.connect((OUTSIDE, 443))

    thread = threading.Thread(target=reach)
    thread.start()
    thread.join()
    assert _take_log(network_log) == [f"socket.connect to '{OUTSIDE}'"]


def test_a_subprocess_is_guarded_too(network_log: Path) -> None:
    program = f"import socket; socket.create_connection(('{OUTSIDE}', 443), timeout=20)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "NetworkReached" in ended.stderr
    assert _take_log(network_log)[-1].endswith(f"to '{OUTSIDE}'")
