"""One commit for all who wait: durability at the price of one sync for many events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from warehouse.errors import WarehouseError
from warehouse.raw.inbox import Event


class Overloaded(Exception):
    """More waits for the disk than may; whoever pushes should come again later."""


class GroupCommit:
    """Hand events of many requests to `append` together; for one event loop.

    While one commit is under way in its thread, what comes waits for the next, so that a commit takes as many as
    there are, and a single one does not wait for company. At most `bytes_waiting` of bodies wait.
    """

    def __init__(self, append: Callable[[Sequence[Event]], None], *, bytes_waiting: int = 64_000_000) -> None:
        self._append = append
        self._room = bytes_waiting
        self._waiting: list[tuple[Sequence[Event], asyncio.Future[None]]] = []
        self._committing: asyncio.Task[None] | None = None

    async def put(self, events: Sequence[Event]) -> None:
        """Return when the events are durable; raises `Overloaded`, and `WarehouseError` if they can't be kept."""
        size = sum(len(event.body) + len(event.content or "") for event in events)
        if size > self._room:
            raise Overloaded
        self._room -= size
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((events, done))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit())
        try:
            await done
        finally:
            self._room += size

    async def _commit(self) -> None:
        taken: list[tuple[Sequence[Event], asyncio.Future[None]]] = []
        try:
            while self._waiting:
                taken, self._waiting = self._waiting, []
                error: WarehouseError | None = None
                try:
                    await asyncio.to_thread(self._append, [event for events, _ in taken for event in events])
                except WarehouseError as refusal:
                    error = refusal
                _settle([done for _, done in taken], error)
        finally:
            # Whatever else went wrong, nobody waits for ever, and the next to come starts anew.
            for _, done in [*taken, *self._waiting]:
                done.cancel()
            self._waiting = []
            self._committing = None


def _settle(futures: Sequence[asyncio.Future[None]], error: WarehouseError | None) -> None:
    for future in futures:
        if future.done():
            continue  # its client has gone; the event is kept all the same
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
