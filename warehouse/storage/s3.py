"""A bucket of an object store as the place of the data."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, cast

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
from obstore.exceptions import GenericError
from obstore.store import S3Store as ObstoreClient

from warehouse.storage.base import Item, Result
from warehouse.storage.s3_config import Bucket
from warehouse.storage.s3_errors import translate_s3_errors

# What is smaller comes whole with the first request; of what is larger, only what is read.
_SMALL = 1 << 20
_PIECE = 8 << 20
_NO_PARTS = ("non-partial", "InvalidRange")
_SIDE_BY_SIDE = 16
_CLIENT = {"connect_timeout": "5s", "read_timeout": "120s", "timeout": "1h"}
_RETRIES = {
    "max_retries": 6,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5), "base": 2},
}


@dataclass(frozen=True)
class S3Store:
    """Keep files below a bucket's prefix; what each method does is said in `Store`."""

    bucket: Bucket

    def locate(self, key: str) -> str:
        """Give the file's address."""
        return f"{self.bucket.address}/{key}"

    def list_names(self, folder: str) -> list[str]:
        """List by the delimiter."""
        with self._naming("list", folder):
            listed = obstore.list_with_delimiter(self._remote, folder)
        paths = [*listed["common_prefixes"], *(entry["path"] for entry in listed["objects"])]
        return sorted(path.rpartition("/")[2] for path in paths)

    def list_below(self, folder: str) -> Iterator[str]:
        """List page by page."""
        yield from (key for key, _ in self.list_versions(folder))

    def list_versions(self, folder: str) -> Iterator[tuple[str, str]]:
        """Go through the keys of all files below a folder, each with the file's ETag."""
        with self._naming("list", folder):
            for page in obstore.list(self._remote, folder):
                yield from ((entry["path"], _read_tag(entry["e_tag"])) for entry in page)

    def has(self, key: str) -> bool:
        """Ask for the file's head."""
        return self.read_version(key) is not None

    def read_version(self, key: str) -> str | None:
        """Read the ETag."""
        try:
            with self._naming("read", key):
                return _read_tag(obstore.head(self._remote, key)["e_tag"])
        except FileNotFoundError:
            return None

    def open_parquet(self, key: str) -> BinaryIO:
        """Fetch a small file whole, and of a large one what is read."""
        with self._naming("read", key):
            try:
                found = obstore.get(self._remote, key, options={"range": (0, _SMALL)})
            except GenericError as error:
                # Some servers mark a part as the whole, and have no part of an empty file: those give all at once.
                if not any(sign in str(error) for sign in _NO_PARTS):
                    raise
                return io.BytesIO(obstore.get(self._remote, key).bytes())
            if found.meta["size"] <= _SMALL:
                return io.BytesIO(found.bytes())
            return cast("BinaryIO", _RangedFile(self, key, found.meta["size"]))

    def read_range(self, key: str, start: int, length: int) -> memoryview:
        """Fetch a part of a file."""
        with self._naming("read", key):
            return memoryview(obstore.get_range(self._remote, key, start=start, length=length))

    def recall(self, key: str, load: Callable[[], Result]) -> Result:  # noqa: ARG002
        """Read the file: asking whether it has changed would cost as much."""
        return load()

    def read_pieces(self, key: str) -> Iterator[bytes]:
        """Stream the file."""
        with self._naming("read", key):
            for piece in obstore.get(self._remote, key).stream(_PIECE):
                yield bytes(piece)

    def write(self, key: str, content: bytes | memoryview) -> None:
        """Send the file; it is there whole once the store has all of it."""
        with self._naming("write", key):
            obstore.put(self._remote, key, bytes(content))

    def take_in(self, path: Path, key: str) -> None:
        """Send the file, a large one in parts."""
        with self._naming("write", key):
            obstore.put(self._remote, key, path)

    def remove(self, key: str) -> None:
        """Delete the object."""
        with self._naming("remove", key):
            obstore.delete(self._remote, key)

    def remove_folder(self, folder: str) -> None:
        """Do nothing: there are no folders."""

    def bring_near(self, keys: Sequence[str], folder: Path, columns: Sequence[str] | None = None) -> list[Path]:
        """Download side by side."""

        def copy(key: str) -> Path:
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(pa.ArrowException, ValueError):
                if columns is not None:
                    pq.write_table(pq.ParquetFile(self.open_parquet(key)).read(columns=list(columns)), path)
                    return path
            # A damaged file comes as it is: whoever reads it finds out.
            with path.open("wb") as file:
                file.writelines(self.read_pieces(key))
            return path

        return self.map(copy, keys)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Call a function for many items side by side: the store is far, and answers many at once."""
        with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="object-store") as threads:
            return list(threads.map(function, items))

    def remove_abandoned(self, folders: Iterable[str]) -> None:
        """Leave it to the bucket: what was not sent to its end is no file; a lifecycle rule drops its parts."""

    @property
    def _remote(self) -> ObstoreClient:
        return _connect(self.bucket)

    def _naming(self, action: str, key: str) -> Any:
        return translate_s3_errors(action, self.locate(key))


class _RangedFile(io.RawIOBase):
    """A file of which each read is a request; pyarrow reads few and large parts."""

    def __init__(self, store: S3Store, key: str, size: int) -> None:
        self._store, self._key, self._size, self._at = store, key, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        length = max(0, min(len(buffer), self._size - self._at))
        if length:
            buffer[:length] = self._store.read_range(self._key, self._at, length)
            self._at += length
        return length


def _read_tag(tag: str | None) -> str:
    return (tag or "").strip('"')  # heads have it in quotes, listings have not


@cache
def _connect(bucket: Bucket) -> ObstoreClient:
    """Make one client for all who ask in this process: it keeps its connections and credentials."""
    options = dict(bucket.options)
    plain = options.get("AWS_ALLOW_HTTP", "").lower() == "true"
    return ObstoreClient(
        bucket.name,
        prefix=bucket.prefix or None,
        config=cast("Any", options),
        client_options=cast("Any", {**_CLIENT, "allow_http": plain}),
        retry_config=cast("Any", _RETRIES),
    )
