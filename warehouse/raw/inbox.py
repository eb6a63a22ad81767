"""The callback inbox: events in SQLite or PostgreSQL, pending until they are drained."""

import os
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from warehouse.errors import InboxFailed, StorageFailed
from warehouse.storage.atomic_files import Modes, create_folder
from warehouse.storage.ownership import require_own

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BUSY_SECONDS = 30
# The batch of all quarantined events.
_QUARANTINE = "quarantine"
# About the size of an event.
_PROBE_BYTES = 1_000

# Key of a connection's `info`: the files that it has open.
_FILES = "files"

_METADATA = sa.MetaData()
# Bodies are bytes: PostgreSQL's text columns reject NUL, which a message may contain.
_EVENTS = sa.Table(
    "callback_events",
    _METADATA,
    sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("dataset", sa.String(32), nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False, comment="microseconds since 1970, UTC"),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("content", sa.LargeBinary, comment="UTF-8; only with IPLUM_KEEP_CONTENT"),
    sa.Column("batch", sa.String(32), comment="the drain that claimed it"),
    sa.Column("drained_at", sa.BigInteger, comment="microseconds since 1970, UTC"),
)
_IS_PENDING = _EVENTS.c.drained_at.is_(None)
sa.Index(
    "callback_events_pending",
    _EVENTS.c.account,
    _EVENTS.c.batch,
    _EVENTS.c.event_id,
    sqlite_where=_IS_PENDING,
    postgresql_where=_IS_PENDING,
)
sa.Index("callback_events_drained", _EVENTS.c.account, _EVENTS.c.drained_at)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One callback record: dataset, time received (UTC), JSON object, and the message text if it is stored.

    If `account` is None, the event belongs to the account of the inbox. The inbox assigns `number`.
    """

    dataset: str
    received_at: datetime
    body: bytes = field(repr=False)
    content: str | None = field(default=None, repr=False)
    account: str | None = None
    number: int = field(default=0, compare=False)


class Inbox:
    """Callback events until they are drained; shared by processes and accounts.

    All counts, claims and drains concern `account` only. A context manager.

    `url` is a SQLAlchemy URL; an SQLite file is made private with `modes`.

    Raises:
        InboxFailed: The database failed (all methods).
        StorageFailed: The folder of an SQLite file cannot be created.

    """

    def __init__(self, url: str, account: str, modes: Modes = Modes()) -> None:  # noqa: B008 - immutable
        self._account = account
        self._engine = _create_engine(url, modes)
        with self._database_errors():
            try:
                _METADATA.create_all(self._engine)
            except DBAPIError:
                # Another process created them at the same time.
                _METADATA.create_all(self._engine)

    def __enter__(self) -> "Inbox":
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    def append(self, events: Sequence[Event]) -> None:
        """Store events, all or none; committed and synced on return.

        If `events` is empty, write, remove and commit a probe, which proves that events can be stored.
        """
        if not events:
            self._write_probe()
            return
        rows = [
            {
                "account": event.account or self._account,
                "dataset": event.dataset,
                "received_at": _to_microseconds(event.received_at),
                "body": event.body,
                "content": None if event.content is None else event.content.encode("utf-8", "surrogatepass"),
            }
            for event in events
        ]
        with self._transaction() as connection:
            connection.execute(sa.insert(_EVENTS), rows)

    def _write_probe(self) -> None:
        row = {"account": self._account, "dataset": "probe", "received_at": 0, "body": b" " * _PROBE_BYTES}
        with self._transaction() as connection:
            number = connection.execute(sa.insert(_EVENTS).returning(_EVENTS.c.event_id), row).scalar_one()
            connection.execute(sa.delete(_EVENTS).where(_EVENTS.c.event_id == number))

    def count_pending(self) -> int:
        """Count the events that are not drained yet."""
        query = sa.select(sa.func.count()).where(_IS_PENDING, self._is_own)
        with self._transaction() as connection:
            return int(connection.execute(query).scalar_one())

    def list_accounts_with_events(self) -> list[str]:
        """List all accounts with pending events."""
        query = sa.select(_EVENTS.c.account).where(_IS_PENDING).distinct()
        with self._transaction() as connection:
            return sorted(connection.execute(query).scalars())

    def list_claimed(self) -> list[str]:
        """List the batches that were claimed but not finished, including those of killed runs."""
        query = sa.select(_EVENTS.c.batch).where(_IS_PENDING, self._is_own, _EVENTS.c.batch.is_not(None)).distinct()
        with self._transaction() as connection:
            return sorted(connection.execute(query).scalars())

    def claim(self, at_most: int) -> str | None:
        """Claim the oldest pending events as a new batch, and return its name, or None if no events are pending.

        A batch never changes, so that processing it again has the same result.
        """
        batch = uuid.uuid4().hex
        free = (_IS_PENDING, self._is_own, _EVENTS.c.batch.is_(None))
        oldest = sa.select(_EVENTS.c.event_id).where(*free).order_by(_EVENTS.c.event_id).limit(at_most)
        chosen = sa.update(_EVENTS).where(_EVENTS.c.event_id.in_(oldest), *free).values(batch=batch)
        with self._transaction() as connection:
            return batch if connection.execute(chosen).rowcount else None

    def read(self, batch: str) -> list[Event]:
        """Return a batch's events in the order received."""
        query = sa.select(_EVENTS).where(_EVENTS.c.batch == batch, self._is_own).order_by(_EVENTS.c.event_id)
        with self._transaction() as connection:
            return [_build_event(row) for row in connection.execute(query).mappings()]

    def finish(self, batch: str, at: datetime) -> None:
        """Mark a batch as drained, and erase its message texts, which are in the archive by now."""
        done = sa.update(_EVENTS).where(_EVENTS.c.batch == batch, self._is_own, _IS_PENDING)
        with self._transaction() as connection:
            connection.execute(done.values(drained_at=_to_microseconds(at), content=None))

    def quarantine(self, numbers: Sequence[int], at: datetime) -> None:
        """Mark events as drained and quarantined, by number, and erase their message texts.

        They are not in their batch any more. Like drained events they are removed with time.
        """
        done = sa.update(_EVENTS).where(self._is_own, _EVENTS.c.event_id == sa.bindparam("number"))
        done = done.values(batch=_QUARANTINE, drained_at=_to_microseconds(at), content=None)
        if numbers:
            with self._transaction() as connection:
                connection.execute(done, [{"number": number} for number in numbers])

    def count_quarantined(self) -> int:
        """Count the quarantined events that are not removed yet."""
        query = sa.select(sa.func.count()).where(_EVENTS.c.batch == _QUARANTINE, self._is_own)
        with self._transaction() as connection:
            return int(connection.execute(query).scalar_one())

    def read_drained(self, *, after: int, at_most: int) -> list[Event]:
        """Return drained events by number, after the number `after`."""
        query = sa.select(_EVENTS).where(self._is_own, _EVENTS.c.drained_at.is_not(None), _EVENTS.c.event_id > after)
        with self._transaction() as connection:
            return [
                _build_event(row)
                for row in connection.execute(query.order_by(_EVENTS.c.event_id).limit(at_most)).mappings()
            ]

    def remove(self, numbers: Sequence[int]) -> None:
        """Remove events permanently, by number."""
        with self._transaction() as connection:
            connection.execute(sa.delete(_EVENTS).where(self._is_own, _EVENTS.c.event_id.in_(numbers)))
        self._truncate_log()

    def remove_drained(self, before: datetime) -> int:
        """Remove the events drained before an instant, and return their count."""
        old = sa.delete(_EVENTS).where(self._is_own, _EVENTS.c.drained_at < _to_microseconds(before))
        with self._transaction() as connection:
            removed = connection.execute(old).rowcount
        if removed:
            self._truncate_log()
        return removed

    def _truncate_log(self) -> None:
        """Empty SQLite's write-ahead log, which still has the removed events."""
        if self._engine.dialect.name == "sqlite":
            with self._database_errors(), self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    @property
    def _is_own(self) -> sa.ColumnElement[bool]:
        return _EVENTS.c.account == self._account

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self._database_errors():
            with self._engine.begin() as connection:
                opened = connection.info.get(_FILES)
                yield connection
            self._check_files(opened)

    def _check_files(self, opened: Sequence[tuple[int, int] | None] | None) -> None:
        """Raise `InboxFailed` if SQLite's open files are not those on the disk: the commit is lost with them."""
        if opened is not None and opened != _identify_files(self._engine.url):
            self._engine.dispose()
            raise InboxFailed("its file was deleted or replaced", self._engine.dialect.name)

    @contextmanager
    def _database_errors(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            # The text of SQLAlchemy's errors contains statements and the URL's host.
            words = type(getattr(error, "orig", None) or error).__name__
            raise InboxFailed(words, self._engine.dialect.name) from None


def _create_engine(url: str, modes: Modes) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _create_sqlite_engine(parsed, modes)
        return sa.create_engine(parsed, hide_parameters=True, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        cause = f"the driver {error.name} is missing: install the extra 'cluster'"
        raise InboxFailed(cause, "the database of IPLUM_INBOX_URL") from None
    except (ArgumentError, NoSuchModuleError) as error:
        raise InboxFailed(type(error).__name__, "the database of IPLUM_INBOX_URL") from None


def _create_sqlite_engine(url: sa.URL, modes: Modes) -> sa.Engine:
    path = Path(url.database or "inbox.sqlite")
    create_folder(path.parent, modes)
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        require_own(path.with_name(name))
    try:
        # SQLite creates the write-ahead log with the file's mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), modes.file))
    except OSError as error:
        raise StorageFailed.during("open the inbox", path, error) from error
    engine = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS})
    sa.event.listen(engine, "do_connect", partial(_require_file, path, path.parent.is_symlink()))
    sa.event.listen(engine, "connect", partial(_prepare_connection, url))
    return engine


def _require_file(path: Path, is_folder_link: bool, *_: Any) -> None:
    """Refuse to connect without a file, which SQLite would create empty, and to a link or a file of another user.

    `is_folder_link` is whether its folder was a link at the start; a link that replaces the folder is refused.
    """
    if not path.is_file() or path.parent.is_symlink() != is_folder_link:
        raise sqlite3.OperationalError("no file")
    for ending in ("", "-wal", "-shm"):
        require_own(path.with_name(f"{path.name}{ending}"))


def _prepare_connection(url: sa.URL, connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
    """Sync the log at every commit, so that acknowledged events survive a power failure."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    # The first read opens the write-ahead log.
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    record.info[_FILES] = _identify_files(url)


def _identify_files(url: sa.URL) -> list[tuple[int, int] | None]:
    """Return device and inode of an SQLite file, its write-ahead log and its folder; None for a missing one.

    A link to the file is not the file.
    """
    path = Path(url.database or "")
    files: list[tuple[int, int] | None] = [None, None, None]
    for place, part in enumerate((path, path.with_name(f"{path.name}-wal"), path.parent)):
        with suppress(OSError):
            found = part.lstat()
            files[place] = found.st_dev, found.st_ino
    return files


def _build_event(row: sa.RowMapping) -> Event:
    content = row["content"]
    return Event(
        dataset=row["dataset"],
        received_at=_EPOCH + row["received_at"] * _MICROSECOND,
        number=int(row["event_id"]),
        body=bytes(row["body"]),
        content=None if content is None else bytes(content).decode("utf-8", "surrogatepass"),
    )


def _to_microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND
