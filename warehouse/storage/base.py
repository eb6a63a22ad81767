"""The storage protocol, implemented by a local folder and an S3 bucket."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from warehouse.errors import StorageFailed

Item = TypeVar("Item")
Result = TypeVar("Result")


_TEST_CONTENT = b"iplum write test"


@dataclass(frozen=True)
class FileStatus:
    """Size and time of the last change (aware UTC) of a stored file."""

    bytes: int
    modified_at: datetime


class Store(Protocol):
    """Storage of whole files under keys. A reader sees the old file or the new one, never a part.

    All methods raise `StorageFailed`; methods that read a file raise `FileNotFoundError` if it does not exist.
    """

    def locate(self, key: str) -> str:
        """Return the full path or address of a key, for messages."""

    def list_names(self, folder: str) -> list[str]:
        """List the names directly under a folder, sorted; empty if it does not exist."""

    def list_keys(self, folder: str) -> Iterator[str]:
        """Yield the keys of all files below a folder."""

    def exists(self, key: str) -> bool:
        """Whether the file exists."""

    def read_status(self, key: str) -> FileStatus:
        """Return a file's size and age."""

    def read_version(self, key: str) -> str | None:
        """Return a text that changes with each write of the file; None if it does not exist."""

    def open_parquet(self, key: str) -> str | BinaryIO:
        """Return a path or file object for pyarrow, which reads only the parts it needs."""

    def load_cached(self, key: str, load: Callable[[], Result]) -> Result:
        """Return the result of `load`, or an earlier result if the file has not changed since.

        The file alone is the key, so always pass the same `load` for a file.
        """

    def read_chunks(self, key: str) -> Iterator[bytes]:
        """Yield the content of a file in chunks."""

    def write(self, key: str, content: bytes | memoryview) -> None:
        """Write a whole file; durable on return."""

    def move_in(self, path: Path, key: str) -> None:
        """Move a finished local file into the store; durable on return. `path` may no longer exist then."""

    def remove(self, key: str) -> None:
        """Remove a file permanently, if it exists."""

    def remove_folder(self, folder: str) -> None:
        """Remove an empty folder, where folders exist."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Call a function that reads or writes files for each item, concurrently where that is faster."""

    def copy_to_local(self, keys: Sequence[str], folder: Path, columns: Sequence[str] | None = None) -> list[Path]:
        """Return local paths of Parquet files, copied below `folder` if they are remote.

        A copy holds only `columns`, if given; its path relative to `folder` is its key.
        """

    def remove_abandoned(self, folders: Iterable[str]) -> None:
        """Remove partial files that killed runs left in these folders, once they are a day old."""


def check_store(store: Store) -> None:
    """Write, list, read and remove a small file.

    Raises:
        StorageFailed: The store cannot do what a sync needs.

    """
    key = f"checks/{uuid.uuid4().hex}"
    store.write(key, _TEST_CONTENT)
    try:
        if b"".join(store.read_chunks(key)) != _TEST_CONTENT or key not in store.list_keys("checks"):
            raise StorageFailed(
                f"cannot read {store.locate(key)}",
                "it was written and is not there",
                "Use a store with read-after-write consistency",
            )
    finally:
        store.remove(key)
