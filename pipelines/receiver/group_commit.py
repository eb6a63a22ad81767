"""Group commit: one fsync for the events of many requests."""

import asyncio
from collections.abc import Callable, Sequence

from warehouse.errors import WarehouseError
from warehouse.raw.inbox import Event


class Overloaded(Exception):
    """Too many bytes are waiting; the sender should try again later."""


class GroupCommit:
    """Passes the events of many requests to `append` together; for one event loop.

    While one commit runs in its thread, new events wait for the next, which takes them all; a single event does
    not wait. At most `bytes_waiting` of bodies wait.
    """

    def __init__(self, append: Callable[[Sequence[Event]], None], *, bytes_waiting: int = 64_000_000) -> None:
        self._append = append
        self._room = bytes_waiting
        self._waiting: list[tuple[Sequence[Event], asyncio.Future[None]]] = []
        self._committing: asyncio.Task[None] | None = None

    async def put(self, events: Sequence[Event]) -> None:
        """Return when the events are durable; raises `Overloaded` and `WarehouseError`."""
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
        batch: list[tuple[Sequence[Event], asyncio.Future[None]]] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                error: WarehouseError | None = None
                try:
                    await asyncio.to_thread(self._append, [event for events, _ in batch for event in events])
                except WarehouseError as failure:
                    error = failure
                # A client may have disconnected; its event is stored nevertheless.
                for waiting in [done for _, done in batch if not done.done()]:
                    if error is None:
                        waiting.set_result(None)
                    else:
                        waiting.set_exception(error)
        finally:
            # After any other error, release the waiting requests; the next event starts a new commit.
            for _, done in [*batch, *self._waiting]:
                done.cancel()
            self._waiting = []
            self._committing = None
