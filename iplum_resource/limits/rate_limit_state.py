"""Where the limiter's one number is kept: in this process, in a file, or in a database that machines share."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
from filelock import FileLock
from psycopg2 import extensions

from iplum_resource.errors import RateLimiterFailed

#: Microseconds since the epoch have 16 digits; a file with many more is not ours.
_DIGITS = 20
_CONNECT_SECONDS = 10


def open_rate_limit_state(access_key: str, *, file: str | None, database: str | None) -> "RateLimitState":
    """Open what the users of an access key share: a database where one is named, else a file, else nothing.

    In the database the key stands as its hash.
    """
    if database is not None:
        return DatabaseRateLimitState(database, hashlib.sha256(access_key.encode()).hexdigest())
    return RateLimitState() if file is None else FileRateLimitState(file)


class RateLimitState:
    """Keep the time (µs since the epoch) at which the next request is due, for the threads of one limiter."""

    def __init__(self) -> None:
        self._due = 0

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep everybody else from reading and writing the number."""
        yield  # the limiter's own queue does, within one process

    def read(self) -> int:
        """Return the number, 0 where there is none."""
        return self._due

    def write(self, due: int) -> None:
        """Replace the number."""
        self._due = due


class FileRateLimitState(RateLimitState):
    """Share the number among the processes of a machine, in a file that only its owner may read.

    Its folder exists; a lock stands beside it. Raises OSError where it can't be written.
    """

    def __init__(self, file: str) -> None:
        super().__init__()
        self._file = Path(file)
        # The lock is held for some microseconds, so whoever finds it taken looks again soon.
        self._lock = FileLock(f"{file}.lock", mode=0o600, poll_interval=0.0005)
        with self._lock:
            os.close(self._open(os.O_RDWR))

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the file's lock."""
        with self._lock:
            yield

    def read(self) -> int:
        """Return the number, 0 where the file holds none."""
        text = self._file.read_bytes() if self._file.exists() else b""
        return int(text) if text.isdigit() and len(text) < _DIGITS else 0

    def write(self, due: int) -> None:
        """Replace the number; it need not outlive a power cut."""
        with os.fdopen(self._open(os.O_WRONLY | os.O_TRUNC), "wb") as out:
            out.write(b"%d" % due)

    def _open(self, flags: int) -> int:
        return os.open(self._file, flags | os.O_CREAT, 0o600)


class DatabaseRateLimitState(RateLimitState):
    """Share the number among machines, in a row of a PostgreSQL database, under its lock.

    `url` is libpq's (`postgresql://user@host/name`) and `name` tells one key's row from another's. A broken
    connection is made anew once. Raises `RateLimiterFailed`, which quotes neither.
    """

    def __init__(self, url: str, name: str) -> None:
        super().__init__()
        self._url, self._name = url, name
        self._connection: extensions.connection | None = None

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Lock the row, and commit what was written to it."""
        try:
            self._lock_row()
            yield
            self._connect().commit()
        except psycopg2.Error as error:
            self._drop()
            raise RateLimiterFailed("the next request", type(error).__name__) from None
        except BaseException:
            self._drop()
            raise

    def write(self, due: int) -> None:
        """Replace the number."""
        with self._connect().cursor() as cursor:
            cursor.execute("UPDATE iplum_next_request SET due = %s WHERE name = %s", (due, self._name))

    def _lock_row(self) -> None:
        try:
            self._due = self._select()
        except psycopg2.OperationalError:
            # The server was restarted, or dropped a connection that had been idle for long.
            self._drop()
            self._due = self._select()

    def _select(self) -> int:
        with self._connect().cursor() as cursor:
            cursor.execute("SELECT due FROM iplum_next_request WHERE name = %s FOR UPDATE", (self._name,))
            (due,) = cursor.fetchone() or (0,)
        return int(due)

    def _connect(self) -> extensions.connection:
        if self._connection is None:
            self._connection = psycopg2.connect(self._url, connect_timeout=_CONNECT_SECONDS)
            self._prepare(self._connection)
        return self._connection

    def _prepare(self, connection: extensions.connection) -> None:
        create = "CREATE TABLE IF NOT EXISTS iplum_next_request (name TEXT PRIMARY KEY, due BIGINT NOT NULL)"
        insert = "INSERT INTO iplum_next_request VALUES (%s, 0) ON CONFLICT DO NOTHING"
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(create)
        except psycopg2.errors.UniqueViolation:
            pass  # another process made it between the look and the making
        with connection, connection.cursor() as cursor:
            cursor.execute(insert, (self._name,))

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
