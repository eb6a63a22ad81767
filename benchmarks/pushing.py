"""The rate at which a receiver accepts callbacks, and the rate of one SQLite commit per callback.

`python -m benchmarks.pushing URL EVENTS FILE` writes both rates to a file, in callbacks per second.
"""

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.history import invent
from benchmarks.responses import render_rows
from warehouse.windows import window_of_key

_CONNECTIONS = 64
_ONE_BY_ONE = 1000


async def push(url: str, bodies: list[bytes]) -> float:
    """Push all bodies, and return the acknowledged callbacks per second."""
    waiting = iter(bodies)
    began = time.perf_counter()
    await asyncio.gather(*(_push_in_turn(url, waiting) for _ in range(_CONNECTIONS)))
    return len(bodies) / (time.perf_counter() - began)


async def _push_in_turn(url: str, waiting: Iterator[bytes]) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    for body in waiting:
        head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        response = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in response.split(b"\r\n")[0]:
            raise ConnectionError(response.decode())
        length = response.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        await reader.readexactly(int(length))
    writer.close()


def commit_one_by_one(path: Path, bodies: list[bytes]) -> float:
    """Commit and sync each body separately, and return the commits per second."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE events (body BLOB)")
    began = time.perf_counter()
    for body in bodies:
        connection.execute("INSERT INTO events VALUES (?)", [body])
    seconds = time.perf_counter() - began
    connection.close()
    return len(bodies) / seconds


def main() -> None:
    """Measure and write both rates."""
    url, events, out = sys.argv[1:]
    bodies = render_rows(invent(window_of_key("2024-12-01"), int(events)))
    rates = {
        "receiver": asyncio.run(push(url, bodies)),
        "one commit per callback": commit_one_by_one(Path(out).with_name("one-by-one.sqlite"), bodies[:_ONE_BY_ONE]),
    }
    Path(out).write_text(json.dumps(rates))


if __name__ == "__main__":
    main()
