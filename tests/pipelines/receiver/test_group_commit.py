"""Group commit: all waiting requests share one commit, and none is acknowledged before it."""

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from pipelines.receiver.group_commit import GroupCommit, Overloaded
from warehouse.errors import InboxFailed
from warehouse.raw.inbox import Event

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def event(name: str) -> Event:
    return Event(dataset="usage_callbacks", received_at=NOW, body=name.encode())


def test_those_who_come_during_a_commit_share_the_next() -> None:
    commits: list[list[bytes]] = []
    begun, go_on = threading.Event(), threading.Event()

    def append(events: Sequence[Event]) -> None:
        begun.set()
        assert go_on.wait(10)
        commits.append([one.body for one in events])

    async def push() -> None:
        commit = GroupCommit(append)
        first = asyncio.create_task(commit.put([event("a")]))
        await asyncio.to_thread(begun.wait, 10)
        others = [asyncio.create_task(commit.put([event(name)])) for name in "bcd"]
        await asyncio.sleep(0)
        assert not first.done()
        go_on.set()
        await asyncio.gather(first, *others)

    asyncio.run(push())
    assert commits == [[b"a"], [b"b", b"c", b"d"]]


def test_all_of_a_failed_commit_hear_of_it_and_the_next_is_tried() -> None:
    failures = [InboxFailed("full", "sqlite")]
    kept: list[Event] = []

    def append(events: Sequence[Event]) -> None:
        if failures:
            raise failures.pop()
        kept.extend(events)

    async def push() -> None:
        commit = GroupCommit(append)
        results = await asyncio.gather(*[commit.put([event(n)]) for n in "ab"], return_exceptions=True)
        assert [type(result) for result in results] == [InboxFailed, InboxFailed]
        await commit.put([event("c")])

    asyncio.run(push())
    assert kept == [event("c")]


def test_one_who_has_gone_away_is_kept_all_the_same() -> None:
    kept: list[Event] = []
    go_on = threading.Event()

    def append(events: Sequence[Event]) -> None:
        assert go_on.wait(10)
        kept.extend(events)

    async def push() -> None:
        commit = GroupCommit(append)
        gone = asyncio.create_task(commit.put([event("a")]))
        await asyncio.sleep(0)
        gone.cancel()
        go_on.set()
        await commit.put([event("b")])

    asyncio.run(push())
    assert kept == [event("a"), event("b")]


def test_more_than_may_wait_is_turned_away_until_there_is_room() -> None:
    go_on = threading.Event()

    def append(events: Sequence[Event]) -> None:  # noqa: ARG001 only the waiting counts
        assert go_on.wait(10)

    async def push() -> None:
        commit = GroupCommit(append, bytes_waiting=4)
        first = asyncio.create_task(commit.put([event("abc")]))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await commit.put([event("de")])
        go_on.set()
        await first
        await commit.put([event("de")])

    asyncio.run(push())


def test_a_fault_of_our_own_leaves_nobody_waiting_and_the_next_is_served() -> None:
    faults = [ZeroDivisionError()]
    kept: list[Event] = []

    def append(events: Sequence[Event]) -> None:
        if faults:
            raise faults.pop()
        kept.extend(events)

    async def push() -> None:
        reported = asyncio.get_running_loop()
        seen: list[dict[str, object]] = []
        reported.set_exception_handler(lambda _, context: seen.append(context))
        commit = GroupCommit(append)
        results = await asyncio.wait_for(
            asyncio.gather(*[commit.put([event(name)]) for name in "ab"], return_exceptions=True), timeout=10
        )
        assert [type(result) for result in results] == [asyncio.CancelledError, asyncio.CancelledError]
        await asyncio.wait_for(commit.put([event("c")]), timeout=10)

    asyncio.run(push())
    assert kept == [event("c")]
