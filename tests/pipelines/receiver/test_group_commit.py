"""Group commit: waiting requests share one commit, and are acknowledged after it."""

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


def test_requests_that_arrive_during_a_commit_share_the_next_one() -> None:
    commits: list[list[bytes]] = []
    started, resume = threading.Event(), threading.Event()

    def append(events: Sequence[Event]) -> None:
        started.set()
        assert resume.wait(10)
        commits.append([one.body for one in events])

    async def push() -> None:
        commit = GroupCommit(append)
        first = asyncio.create_task(commit.put([event("a")]))
        await asyncio.to_thread(started.wait, 10)
        others = [asyncio.create_task(commit.put([event(name)])) for name in "bcd"]
        await asyncio.sleep(0)
        assert not first.done()
        resume.set()
        await asyncio.gather(first, *others)

    asyncio.run(push())
    assert commits == [[b"a"], [b"b", b"c", b"d"]]


def test_a_failed_commit_fails_all_its_requests_and_the_next_commit_is_attempted() -> None:
    failures = [InboxFailed("full", "sqlite")]
    stored: list[Event] = []

    def append(events: Sequence[Event]) -> None:
        if failures:
            raise failures.pop()
        stored.extend(events)

    async def push() -> None:
        commit = GroupCommit(append)
        results = await asyncio.gather(*[commit.put([event(n)]) for n in "ab"], return_exceptions=True)
        assert [type(result) for result in results] == [InboxFailed, InboxFailed]
        await commit.put([event("c")])

    asyncio.run(push())
    assert stored == [event("c")]


def test_the_events_of_a_cancelled_request_are_stored() -> None:
    stored: list[Event] = []
    resume = threading.Event()

    def append(events: Sequence[Event]) -> None:
        assert resume.wait(10)
        stored.extend(events)

    async def push() -> None:
        commit = GroupCommit(append)
        cancelled = asyncio.create_task(commit.put([event("a")]))
        await asyncio.sleep(0)
        cancelled.cancel()
        resume.set()
        await commit.put([event("b")])

    asyncio.run(push())
    assert stored == [event("a"), event("b")]


def test_requests_over_the_limit_of_waiting_bytes_are_rejected_until_a_commit() -> None:
    resume = threading.Event()

    def append(events: Sequence[Event]) -> None:  # noqa: ARG001 - the test only needs the wait
        assert resume.wait(10)

    async def push() -> None:
        commit = GroupCommit(append, bytes_waiting=4)
        first = asyncio.create_task(commit.put([event("abc")]))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await commit.put([event("de")])
        resume.set()
        await first
        await commit.put([event("de")])

    asyncio.run(push())


def test_an_unexpected_error_cancels_the_waiting_requests_and_the_next_succeeds() -> None:
    errors = [ZeroDivisionError()]
    stored: list[Event] = []

    def append(events: Sequence[Event]) -> None:
        if errors:
            raise errors.pop()
        stored.extend(events)

    async def push() -> None:
        loop = asyncio.get_running_loop()
        reported: list[dict[str, object]] = []
        loop.set_exception_handler(lambda _, context: reported.append(context))
        commit = GroupCommit(append)
        results = await asyncio.wait_for(
            asyncio.gather(*[commit.put([event(name)]) for name in "ab"], return_exceptions=True), timeout=10
        )
        assert [type(result) for result in results] == [asyncio.CancelledError, asyncio.CancelledError]
        await asyncio.wait_for(commit.put([event("c")]), timeout=10)

    asyncio.run(push())
    assert stored == [event("c")]
