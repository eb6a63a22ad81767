"""Concurrent processing of a step's windows or records."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


def map_concurrently(
    function: Callable[[_T], _R], items: Sequence[_T], *, is_over: threading.Event, concurrency: int, name: str
) -> Iterator[_R]:
    """Apply a function to items in threads, and yield the results in order.

    The first item is processed alone, so that a refusal costs one request. Once `is_over` is set, items that were
    not started are skipped. `name` is the prefix of the threads' names.
    """
    threads = ThreadPoolExecutor(concurrency, thread_name_prefix=name)

    def apply(item: _T) -> list[_R]:
        return [] if is_over.is_set() else [function(item)]

    try:
        for results in map(apply, items[:1]):
            yield from results
        for results in threads.map(apply, items[1:]):
            yield from results
    finally:
        # After an interrupt, do not wait for requests in flight.
        threads.shutdown(wait=False, cancel_futures=True)
