"""The callback inbox in SQLite and PostgreSQL: events, batches, concurrency and errors."""

import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from warehouse.errors import InboxFailed
from warehouse.raw.inbox import Event, Inbox

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'state' / 'inbox.sqlite'}"
        return
    yield (server := request.getfixturevalue("postgres_url"))
    engine = sa.create_engine(server)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS callback_events"))
    engine.dispose()


@pytest.fixture
def inbox(url: str) -> Iterator[Inbox]:
    with Inbox(url, "default") as opened:
        yield opened


def event(name: str, minutes: float = 0, content: str | None = None) -> Event:
    body = f'{{"recordId":"{name}"}}'.encode()
    at = T0 + timedelta(minutes=minutes)
    return Event(dataset="usage_callbacks", received_at=at, body=body, content=content)


def drain(inbox: Inbox, *, at: datetime = T0) -> list[Event]:
    events = []
    while (batch := inbox.claim(2)) is not None:
        events += inbox.read(batch)
        inbox.finish(batch, at)
    return events


def test_events_are_drained_unchanged_and_in_order(inbox: Inbox) -> None:
    events = [event("a", 1.00001), event("b", 0, "text \0 and 🙏 \ud83d"), event("c", 2), event("d"), event("e")]
    inbox.append(events[:3])
    inbox.append(events[3:])
    assert inbox.count_pending() == 5
    assert drain(inbox) == events
    assert inbox.count_pending() == 0
    assert inbox.claim(10) is None


def test_a_batch_does_not_change_until_it_is_finished(inbox: Inbox) -> None:
    inbox.append([event("a"), event("b")])
    batch = inbox.claim(10)
    assert batch is not None
    inbox.append([event("c")])
    assert inbox.list_claimed() == [batch]
    assert inbox.read(batch) == inbox.read(batch) == [event("a"), event("b")]
    assert inbox.count_pending() == 3
    inbox.finish(batch, T0)
    assert inbox.list_claimed() == []
    assert inbox.count_pending() == 1


def test_a_finished_batch_has_no_content_and_its_events_are_removed_later(inbox: Inbox) -> None:
    inbox.append([event("a", content="text")])
    batch = inbox.claim(10)
    assert batch is not None
    inbox.finish(batch, T0)
    assert inbox.read(batch) == [event("a")]
    inbox.append([event("b")])
    assert inbox.remove_drained(T0) == 0
    assert inbox.remove_drained(T0 + timedelta(microseconds=1)) == 1
    assert inbox.read(batch) == []
    assert inbox.count_pending() == 1


def test_accounts_have_separate_events(inbox: Inbox, url: str) -> None:
    inbox.append([event("a")])
    with Inbox(url, "other") as other:
        assert other.count_pending() == 0
        assert other.claim(10) is None
        assert other.remove_drained(T0 + timedelta(days=99)) == 0
    assert drain(inbox) == [event("a")]


def test_concurrent_writers_and_drains_lose_and_duplicate_no_event(url: str) -> None:
    drained: list[Event] = []

    def write(number: int) -> None:
        with Inbox(url, "default") as own:
            for index in range(20):
                own.append([event(f"{number}-{index}")])

    def drain_often() -> None:
        with Inbox(url, "default") as own:
            for _ in range(30):
                drained.extend(drain(own))

    with Inbox(url, "default"):
        threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
        threads += [threading.Thread(target=drain_often) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with Inbox(url, "default") as last:
        drained.extend(drain(last))
    bodies = sorted(found.body for found in drained)
    assert bodies == sorted(event(f"{n}-{i}").body for n in range(3) for i in range(20))


def test_several_threads_can_create_the_inbox_at_once(url: str) -> None:
    barrier = threading.Barrier(8)
    failures: list[InboxFailed] = []

    def start() -> None:
        barrier.wait(10)
        try:
            with Inbox(url, "default") as own:
                own.append([event("a")])
        except InboxFailed as failure:
            failures.append(failure)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with Inbox(url, "default") as last:
        assert last.count_pending() == 8


def test_an_inbox_file_is_private_and_synced_at_every_commit(tmp_path: Path) -> None:
    path = tmp_path / "state" / "inbox.sqlite"
    with Inbox(f"sqlite:///{path}", "default") as inbox:
        inbox.append([event("a")])
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with inbox._engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_removed_events_leave_the_write_ahead_log(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    with Inbox(f"sqlite:///{path}", "default") as inbox:
        inbox.append([event("a-secret-id")])
        batch = inbox.claim(10)
        assert batch is not None
        inbox.finish(batch, T0)
        assert inbox.remove_drained(T0 + timedelta(days=1)) == 1
        stored = path.read_bytes() + Path(f"{path}-wal").read_bytes()
    assert b"a-secret-id" not in stored


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://iplum:secret-password@127.0.0.1:1/none",
        "postgresql+nonsense://iplum:secret-password@127.0.0.1/none",
        "nonsense",
    ],
)
def test_an_unavailable_database_is_reported_without_its_password(url: str) -> None:
    with pytest.raises(InboxFailed, match="IPLUM_INBOX_URL") as failure:
        Inbox(url, "default")
    assert "secret-password" not in f"{failure.value!r}"


def test_a_damaged_inbox_is_reported_without_its_content(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    path.write_bytes(b"not a database, but text" * 100)
    with pytest.raises(InboxFailed, match=r"\(sqlite\): DatabaseError") as failure:
        Inbox(f"sqlite:///{path}", "default")
    assert "but text" not in str(failure.value)


def test_a_probe_is_written_and_leaves_no_event(inbox: Inbox) -> None:
    inbox.append([event("a")])
    inbox.append([])
    assert inbox.count_pending() == 1
    assert drain(inbox) == [event("a")]
    assert inbox.list_accounts_with_events() == []


def test_a_probe_fails_if_an_event_cannot_be_stored(inbox: Inbox, url: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE callback_events RENAME COLUMN body TO text"))
    engine.dispose()
    assert inbox.count_pending() == 0
    with pytest.raises(InboxFailed):
        inbox.append([])


@pytest.mark.parametrize("suffix", ["", "-wal"])
@pytest.mark.parametrize("replacement", [None, b"", b"nonsense" * 1000])
@pytest.mark.parametrize("events", [[event("b")], []])
def test_storing_fails_if_the_file_was_deleted_or_replaced(
    tmp_path: Path, suffix: str, replacement: bytes | None, events: list[Event]
) -> None:
    path = tmp_path / "inbox.sqlite"
    with Inbox(f"sqlite:///{path}", "default") as inbox:
        inbox.append([event("a")])
        file = path.with_name(path.name + suffix)
        file.unlink()
        if replacement is not None:
            file.write_bytes(replacement)
        with pytest.raises(InboxFailed, match="deleted or replaced"):
            inbox.append(events)


def test_a_deleted_inbox_stays_deleted(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    with Inbox(f"sqlite:///{path}", "default") as inbox:
        path.unlink()
        for _ in range(3):
            with pytest.raises(InboxFailed):
                inbox.append([event("a")])
        assert not path.exists()


def test_an_inbox_works_again_once_it_is_recreated(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'inbox.sqlite'}"
    with Inbox(url, "default") as inbox:
        inbox.append([event("a")])
        (tmp_path / "inbox.sqlite").unlink()
        with pytest.raises(InboxFailed):
            inbox.append([event("b")])
        with Inbox(url, "default"):
            inbox.append([event("c")])
        assert drain(inbox) == [event("c")]
