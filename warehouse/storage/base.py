"""What a place for files can do, be it a folder of this machine or a bucket of an object store."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from warehouse.errors import StorageFailed

Item = TypeVar("Item")
Result = TypeVar("Result")


_PROBE = b"iplum looks whether it can write here"


class Store(Protocol):
    """Keep whole files under their keys: each is the old one or the new one, never half of one.

    Every method raises `StorageFailed` where the place refuses, and `FileNotFoundError` where those that read find
    no such file.
    """

    def locate(self, key: str) -> str:
        """Say where a file stands, as its reader would look for it."""

    def list_names(self, folder: str) -> list[str]:
        """List the names of what stands right under a folder, sorted; empty where there is no such folder."""

    def list_below(self, folder: str) -> Iterator[str]:
        """Go through the keys of all files below a folder."""

    def has(self, key: str) -> bool:
        """Say whether there is such a file."""

    def read_version(self, key: str) -> str | None:
        """Name the writing of a file: another for each; None where there is none."""

    def open_parquet(self, key: str) -> str | BinaryIO:
        """Give what pyarrow reads a file from, of which no more is fetched than is read."""

    def recall(self, key: str, load: Callable[[], Result]) -> Result:
        """Give what `load` makes of a file, or made before of the same; one kind of thing for each file."""

    def read_pieces(self, key: str) -> Iterator[bytes]:
        """Go through a file from its beginning, piece by piece."""

    def write(self, key: str, content: bytes | memoryview) -> None:
        """Put a whole file in place, durable when this returns."""

    def take_in(self, path: Path, key: str) -> None:
        """Put a finished file of this machine in place, durable when this returns; `path` may be gone then."""

    def remove(self, key: str) -> None:
        """Remove a file for good; nothing happens where there is none."""

    def remove_folder(self, folder: str) -> None:
        """Remove a folder in which nothing is left, where a place has folders at all."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Call a function that reads or writes files for many items, as fast as the place answers."""

    def bring_near(self, keys: Sequence[str], folder: Path, columns: Sequence[str] | None = None) -> list[Path]:
        """Say where Parquet files can be read on this machine, copied below `folder` where they stand elsewhere.

        A copy holds `columns` alone, where they are named; its path from `folder` is its key.
        """

    def remove_abandoned(self, folders: Iterable[str]) -> None:
        """Remove what killed runs left half-written in some folders, once it is a day old."""


def prove(store: Store) -> None:
    """Write a small file, find it, read it and delete it: what a sync needs of a place; raises `StorageFailed`."""
    key = f"checks/{uuid.uuid4().hex}"
    store.write(key, _PROBE)
    try:
        if b"".join(store.read_pieces(key)) != _PROBE or key not in store.list_below("checks"):
            raise StorageFailed(
                f"{store.locate(key)} was written and is not there; use a store that is consistent"
            )
    finally:
        store.remove(key)
