"""The inbox: pushed events, durable before they are acknowledged, until a run has moved them to the raw log."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from warehouse.errors import InboxFailed, StorageFailed
from warehouse.storage.atomic_files import Modes, make_folder

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BUSY_SECONDS = 30

_METADATA = sa.MetaData()
# Bodies are bytes: a text column of PostgreSQL takes no NUL, which a text message may hold.
_EVENTS = sa.Table(
    "callback_events",
    _METADATA,
    sa.Column(
        "event_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
    ),
    sa.Column("account", sa.String(64), nullable=False),
    sa.Column("dataset", sa.String(32), nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False, comment="microseconds since 1970, UTC"),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("content", sa.LargeBinary, comment="UTF-8; kept only where IPLUM_KEEP_CONTENT says so"),
    sa.Column("batch", sa.String(32), comment="the draining that claimed it"),
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
    """One pushed record: its dataset, when it came (aware UTC), its JSON object, a text's words where kept.

    `account` says whose it is; None is the account that the inbox was opened for. `number` is given by the inbox.
    """

    dataset: str
    received_at: datetime
    body: bytes = field(repr=False)
    content: str | None = field(default=None, repr=False)
    account: str | None = None
    number: int = field(default=0, compare=False)


class Inbox:
    """Keep pushed events until they are drained; several processes and accounts may share it.

    What is counted, claimed and drained is of `account` alone.

    `url` is SQLAlchemy's; SQLite's file is made private. A context manager. Every method raises `InboxFailed` when
    the database refuses, `StorageFailed` when its folder can't be made.
    """

    def __init__(self, url: str, account: str, modes: Modes | None = None) -> None:
        self._account = account
        self._engine = _make_engine(url, modes or Modes())
        with self._reaching():
            self._make_tables()

    def __enter__(self) -> Inbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.dispose()

    def _make_tables(self) -> None:
        try:
            _METADATA.create_all(self._engine)
        except DBAPIError:
            # Another process made them between the look and the making; a second look finds them.
            _METADATA.create_all(self._engine)

    def append(self, events: Sequence[Event]) -> None:
        """Keep events; committed and synced to the disk when this returns, all or none."""
        rows = [
            {
                "account": event.account or self._account,
                "dataset": event.dataset,
                "received_at": _to_number(event.received_at),
                "body": event.body,
                "content": None if event.content is None else event.content.encode("utf-8", "surrogatepass"),
            }
            for event in events
        ]
        with self._transaction() as connection:
            connection.execute(sa.insert(_EVENTS), rows)

    def count_pending(self) -> int:
        """Count the events that no run has drained yet."""
        query = sa.select(sa.func.count()).where(_IS_PENDING, self._is_own)
        with self._transaction() as connection:
            return int(connection.execute(query).scalar_one())

    def list_waiting(self) -> list[str]:
        """List the accounts, of all that share this inbox, for which events wait."""
        query = sa.select(_EVENTS.c.account).where(_IS_PENDING).distinct()
        with self._transaction() as connection:
            return sorted(connection.execute(query).scalars())

    def list_claimed(self) -> list[str]:
        """List the batches that a run claimed and has not finished, killed runs' among them."""
        query = (
            sa.select(_EVENTS.c.batch).where(_IS_PENDING, self._is_own, _EVENTS.c.batch.is_not(None)).distinct()
        )
        with self._transaction() as connection:
            return sorted(connection.execute(query).scalars())

    def claim(self, at_most: int) -> str | None:
        """Bind the oldest pending events into a new batch, and give its name; None where there is none.

        What is in a batch never changes, so that a second run at it does the same.
        """
        batch = uuid.uuid4().hex
        free = (_IS_PENDING, self._is_own, _EVENTS.c.batch.is_(None))
        oldest = sa.select(_EVENTS.c.event_id).where(*free).order_by(_EVENTS.c.event_id).limit(at_most)
        chosen = sa.update(_EVENTS).where(_EVENTS.c.event_id.in_(oldest), *free).values(batch=batch)
        with self._transaction() as connection:
            return batch if connection.execute(chosen).rowcount else None

    def read(self, batch: str) -> list[Event]:
        """Read a batch's events in the order they came."""
        query = sa.select(_EVENTS).where(_EVENTS.c.batch == batch, self._is_own).order_by(_EVENTS.c.event_id)
        with self._transaction() as connection:
            return [_make_event(row) for row in connection.execute(query).mappings()]

    def finish(self, batch: str, at: datetime) -> None:
        """Note that a batch stands in the raw log; the bodies of its texts, kept elsewhere by now, go."""
        done = sa.update(_EVENTS).where(_EVENTS.c.batch == batch, self._is_own, _IS_PENDING)
        with self._transaction() as connection:
            connection.execute(done.values(drained_at=_to_number(at), content=None))

    def read_drained(self, *, after: int, at_most: int) -> list[Event]:
        """Read events that were drained and are still here, by their number, from the one after `after` on."""
        query = sa.select(_EVENTS).where(
            self._is_own, _EVENTS.c.drained_at.is_not(None), _EVENTS.c.event_id > after
        )
        with self._transaction() as connection:
            return [
                _make_event(row)
                for row in connection.execute(query.order_by(_EVENTS.c.event_id).limit(at_most)).mappings()
            ]

    def remove(self, numbers: Sequence[int]) -> None:
        """Remove events by their numbers, for good."""
        with self._transaction() as connection:
            connection.execute(sa.delete(_EVENTS).where(self._is_own, _EVENTS.c.event_id.in_(numbers)))
        if self._engine.dialect.name == "sqlite":
            # Until then, what was removed stands in the log beside the file.
            with self._reaching(), self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def remove_drained(self, before: datetime) -> int:
        """Remove the events that were drained before an instant, and count them."""
        old = sa.delete(_EVENTS).where(self._is_own, _EVENTS.c.drained_at < _to_number(before))
        with self._transaction() as connection:
            return connection.execute(old).rowcount

    @property
    def _is_own(self) -> sa.ColumnElement[bool]:
        return _EVENTS.c.account == self._account

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self._reaching(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            # The full text of SQLAlchemy's errors quotes statements, and the URL's host.
            words = type(getattr(error, "orig", None) or error).__name__
            raise InboxFailed(words, self._engine.dialect.name) from None


def _make_engine(url: str, modes: Modes) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _make_sqlite_engine(parsed, modes)
        return sa.create_engine(parsed, hide_parameters=True, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise InboxFailed(type(error).__name__, "the database of IPLUM_INBOX_URL") from None


def _make_sqlite_engine(url: sa.URL, modes: Modes) -> sa.Engine:
    path = Path(url.database or "inbox.sqlite")
    make_folder(path.parent, modes)
    try:
        # SQLite gives the log beside the file the file's mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, modes.file))
    except OSError as error:
        raise StorageFailed.during("open the inbox", path, error) from error
    engine = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS})
    sa.event.listen(engine, "connect", _make_durable)
    return engine


def _make_durable(connection: sqlite3.Connection, _record: Any) -> None:
    """Sync the log at every commit: what was acknowledged outlives a power cut. Overwrite what is deleted."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")


def _make_event(row: sa.RowMapping) -> Event:
    content = row["content"]
    return Event(
        dataset=row["dataset"],
        received_at=_EPOCH + row["received_at"] * _MICROSECOND,
        number=int(row["event_id"]),
        body=bytes(row["body"]),
        content=None if content is None else bytes(content).decode("utf-8", "surrogatepass"),
    )


def _to_number(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND
