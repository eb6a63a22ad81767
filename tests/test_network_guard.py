"""The network guard: only loopback is allowed, in this process, in threads and in subprocesses."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.network_guard.sitecustomize import NetworkReached, is_local

# Reserved for documentation (RFC 5737), like .example: if the guard fails, no host is reached.
OUTSIDE = "192.0.2.1"


def _take_log(network_log: Path) -> list[str]:
    """Return the logged connections and clear the log, so that they do not fail the test."""
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
def test_loopback_hosts_are_local(host: object) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "host",
    [OUTSIDE, "10.0.0.1", "169.254.169.254", "::ffff:192.0.2.1", "fe80::1%eth0", "api.iplum.com", "invalid.example"],
)
def test_other_hosts_are_not_local(host: str) -> None:
    assert not is_local(host)


def test_connections_to_other_hosts_are_blocked(network_log: Path) -> None:
    with socket.socket() as connection, pytest.raises(NetworkReached, match=OUTSIDE):
        connection.connect((OUTSIDE, 443))
    with socket.socket(type=socket.SOCK_DGRAM) as connection, pytest.raises(NetworkReached, match=OUTSIDE):
        connection.sendto(b"", (OUTSIDE, 53))
    assert len(_take_log(network_log)) == 2


def test_lookups_of_other_hosts_are_blocked(network_log: Path) -> None:
    with pytest.raises(NetworkReached, match=r"name\.example"):
        socket.getaddrinfo("name.example", 443)
    assert _take_log(network_log) == ["socket.getaddrinfo to 'name.example'"]


def test_connections_to_loopback_are_allowed(network_log: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(("localhost", listener.getsockname()[1]), timeout=20),
    ):
        assert _take_log(network_log) == []


def test_a_blocked_connection_in_a_thread_is_logged(network_log: Path) -> None:
    def connect() -> None:
        with socket.socket() as connection, pytest.raises(NetworkReached):
            connection.connect((OUTSIDE, 443))

    thread = threading.Thread(target=connect)
    thread.start()
    thread.join()
    assert _take_log(network_log) == [f"socket.connect to '{OUTSIDE}'"]


def test_connections_of_subprocesses_are_blocked(network_log: Path) -> None:
    program = f"import socket; socket.create_connection(('{OUTSIDE}', 443), timeout=20)"
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert completed.returncode != 0
    assert "NetworkReached" in completed.stderr
    assert _take_log(network_log)[-1].endswith(f"to '{OUTSIDE}'")
