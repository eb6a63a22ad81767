"""Storage of the rate limit's state: in memory, in a file shared by processes, in PostgreSQL shared by machines.

The stores implement pyrate-limiter's `StateStore`. The state is one or two numbers, as the algorithm has: when the next
request is due, and when a penalty by iPlum ends, in microseconds since the epoch.
"""

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from pyrate_limiter import Decision, InMemoryStateStore, Rate, StateAlgorithm, StateStore

from iplum_resource.errors import RateLimiterFailed, RateLimitFileRefused

if TYPE_CHECKING:
    from psycopg2 import extensions

#: Microseconds since the epoch have 16 digits; a file with many more digits is damaged.
_STATE = re.compile(rb"([0-9]{1,19})(?: ([0-9]{1,19}))?")
_MAX_BYTES = 40
#: Ends the name of the row with the second number.
_PENALTY = "/penalty"
_CONNECT_SECONDS = 10


def open_state_store(access_key: str, *, file: str | None, database: str | None) -> StateStore:
    """Open the store that the users of an access key share: database, file or memory, whichever is given first.

    The database stores the key's hash, not the key.
    """
    if database is not None:
        return PostgresStateStore(database, hashlib.sha256(access_key.encode()).hexdigest())
    return InMemoryStateStore() if file is None else FileStateStore(file)


class FileStateStore(StateStore):
    """State shared by the processes of one machine, in a file with mode 0600 and a lock next to it.

    Raises:
        OSError: The file cannot be written. Its folder must exist.
        RateLimitFileRefused: The file is a symlink or belongs to another user.

    """

    def __init__(self, file: str) -> None:
        self._file = Path(file)
        # The lock is held for microseconds, so a waiting process polls often.
        self._lock = FileLock(f"{file}.lock", mode=0o600, poll_interval=0.0005)
        try:
            with self._lock:
                os.close(self._open())
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise RateLimitFileRefused("the next request", f"{file} is a symbolic link") from None

    def check(self, algorithm: StateAlgorithm, rates: list[Rate], now: int, weight: int) -> Decision:
        """Apply the algorithm's step under the file lock. The file is not synced: it need not survive a crash."""
        with self._lock:
            state, decision = algorithm.step(rates, self.read(algorithm, rates), now, weight)
            if decision.allowed:
                self._write(" ".join(str(int(number)) for number in _drop_zeros(state)).encode())
            return decision

    def read(self, algorithm: StateAlgorithm, rates: list[Rate]) -> tuple[float, ...]:
        """Return the stored state, or the initial one for a missing or damaged file."""
        with os.fdopen(self._open(), "rb") as file:
            found = _STATE.fullmatch(file.read(_MAX_BYTES))
        initial = algorithm.initial(rates)
        return tuple(int(number or 0) for number in found.groups()[: len(initial)]) if found else initial

    def reset(self) -> None:
        """Forget the state."""
        with self._lock:
            self._write(b"")

    def _write(self, text: bytes) -> None:
        with os.fdopen(self._open(), "wb") as out:
            out.truncate()
            out.write(text)

    def _open(self) -> int:
        """Open the file, never another one through a link, and only if it belongs to this user."""
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        if hasattr(os, "geteuid") and os.fstat(descriptor).st_uid != os.geteuid():
            os.close(descriptor)
            raise RateLimitFileRefused("the next request", f"{self._file} belongs to another user")
        return descriptor


class PostgresStateStore(StateStore):
    """State shared by several machines, in two locked rows of a PostgreSQL table.

    `url` is a libpq URL, `postgresql://user@host/name`; `name` is the first row, one per access key.

    Raises:
        RateLimiterFailed: The database cannot be used, or psycopg2 is not installed. The message
            contains neither argument.

    """

    def __init__(self, url: str, name: str) -> None:
        self._url, self._names = url, (name, name + _PENALTY)
        self._connection: extensions.connection | None = None

    def check(self, algorithm: StateAlgorithm, rates: list[Rate], now: int, weight: int) -> Decision:
        """Apply the algorithm's step in a transaction that locks the rows."""
        with self._locked_rows() as before:
            before = before[: len(algorithm.initial(rates))]
            state, decision = algorithm.step(rates, before, now, weight)
            if decision.allowed:
                self._update(before, state)
            return decision

    def read(self, algorithm: StateAlgorithm, rates: list[Rate]) -> tuple[float, ...]:
        """Return the stored state."""
        with self._locked_rows() as state:
            return state[: len(algorithm.initial(rates))]

    def reset(self) -> None:
        """Forget the state."""
        with self._locked_rows() as state:
            self._update(state, (0, 0))

    @contextmanager
    def _locked_rows(self) -> Iterator[tuple[float, ...]]:
        psycopg2 = _import_psycopg2()
        try:
            try:
                state = self._select()
            except psycopg2.OperationalError:
                # The server was restarted, or closed a connection that had been idle for long.
                self._disconnect()
                state = self._select()
            yield state
            self._connect().commit()
        except psycopg2.Error as error:
            self._disconnect()
            raise RateLimiterFailed("the next request", type(error).__name__) from None
        except BaseException:
            self._disconnect()
            raise

    def _select(self) -> tuple[float, ...]:
        select = "SELECT name, due FROM iplum_next_request WHERE name IN %s ORDER BY name FOR UPDATE"
        with self._connect().cursor() as cursor:
            cursor.execute(select, (self._names,))
            found = dict(cursor.fetchall())
        return tuple(int(found.get(name, 0)) for name in self._names)

    def _update(self, before: tuple[float, ...], state: tuple[float, ...]) -> None:
        with self._connect().cursor() as cursor:
            for name, was, number in zip(self._names, before, state, strict=False):
                if number != was:
                    cursor.execute("UPDATE iplum_next_request SET due = %s WHERE name = %s", (int(number), name))

    def _connect(self) -> "extensions.connection":
        if self._connection is None:
            self._connection = _import_psycopg2().connect(self._url, connect_timeout=_CONNECT_SECONDS)
            self._create_rows(self._connection)
        return self._connection

    def _create_rows(self, connection: "extensions.connection") -> None:
        create = "CREATE TABLE IF NOT EXISTS iplum_next_request (name TEXT PRIMARY KEY, due BIGINT NOT NULL)"
        insert = "INSERT INTO iplum_next_request VALUES (%s, 0), (%s, 0) ON CONFLICT DO NOTHING"
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(create)
        except _import_psycopg2().errors.UniqueViolation:
            pass  # another process created the table at the same time
        with connection, connection.cursor() as cursor:
            cursor.execute(insert, self._names)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _drop_zeros(state: tuple[float, ...]) -> tuple[float, ...]:
    return state if state[-1] else state[:1]


def _import_psycopg2() -> Any:
    try:
        import psycopg2
    except ImportError:
        raise RateLimiterFailed("the next request", "psycopg2 is missing: install the extra 'cluster'") from None
    return psycopg2
