"""A PostgreSQL server for tests, run from Debian's binaries if they are installed."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BINARIES = Path("/usr/lib/postgresql")
#: The server refuses to run as root, and Debian's package creates this user.
_SERVER_USER = "postgres"


def find_binaries() -> Path | None:
    """Return the folder of the newest installed server; None if there is none, or no user that can run it."""
    folders = sorted(_BINARIES.glob("*/bin/initdb"), key=lambda path: float(path.parent.parent.name))
    if not folders or (os.geteuid() == 0 and not any(u.pw_name == _SERVER_USER for u in pwd.getpwall())):
        return None
    return folders[-1].parent


def libpq_url(url: str) -> str:
    """Convert an SQLAlchemy URL to a libpq URL."""
    return url.replace("postgresql+psycopg2://", "postgresql://")


@contextmanager
def run_postgres() -> Iterator[str]:
    """Run a server during the block and yield its SQLAlchemy URL."""
    binaries = find_binaries()
    assert binaries is not None
    # Not in the test's own folder: its parents are private, and the server's user must be able to enter the folder.
    folder = Path(tempfile.mkdtemp(prefix="iplum-postgres-"))
    user = _SERVER_USER if os.geteuid() == 0 else None
    try:
        if user:
            shutil.chown(folder, user)
        data = folder / "data"
        subprocess.run(
            [str(binaries / "initdb"), "-D", str(data), "-U", "iplum", "--auth=trust", "-E", "UTF8", "--no-sync"],
            check=True,
            user=user,
            cwd=folder,
            capture_output=True,
        )
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        control = [str(binaries / "pg_ctl"), "-D", str(data), "-w"]
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories="
        start = [*control, "-o", options, "-l", str(folder / "log"), "start"]
        subprocess.run(start, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            yield f"postgresql+psycopg2://iplum@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run(
                [*control, "-m", "immediate", "stop"], check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL
            )
    finally:
        shutil.rmtree(folder)
