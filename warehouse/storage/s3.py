"""Storage in an S3 bucket."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, cast

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
from obstore.exceptions import GenericError
from obstore.store import S3Store as ObstoreClient

from warehouse.storage.base import FileStatus, Item, Result
from warehouse.storage.s3_config import Bucket
from warehouse.storage.s3_errors import translate_s3_errors

# A smaller file arrives whole with the first request.
_SMALL_FILE = 1 << 20
_CHUNK = 8 << 20
_NO_PARTS = ("non-partial", "InvalidRange")
_THREADS = 16
_CLIENT = {"connect_timeout": "5s", "read_timeout": "120s", "timeout": "1h"}
_RETRIES = {
    "max_retries": 6,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5), "base": 2},
}


@dataclass(frozen=True)
class S3Store:
    """Files below a bucket's prefix; see `Store`.

    `loaded` caches results of `load_cached` for `CachedListingStore`.
    """

    bucket: Bucket
    loaded: dict[str, tuple[str, Any]] = field(default_factory=dict, compare=False, repr=False)

    def locate(self, key: str) -> str:
        """Return the file's address."""
        return f"{self.bucket.address}/{key}"

    def list_names(self, folder: str) -> list[str]:
        """List with a delimiter."""
        with self._errors("list", folder):
            listed = obstore.list_with_delimiter(self._remote, folder)
        paths = [*listed["common_prefixes"], *(entry["path"] for entry in listed["objects"])]
        return sorted(path.rpartition("/")[2] for path in paths)

    def list_keys(self, folder: str) -> Iterator[str]:
        """List page by page."""
        yield from (key for key, _ in self.list_versions(folder))

    def list_versions(self, folder: str) -> Iterator[tuple[str, str]]:
        """Yield the key and ETag of all files below a folder."""
        with self._errors("list", folder):
            for page in obstore.list(self._remote, folder):
                yield from ((entry["path"], _strip_etag(entry["e_tag"])) for entry in page)

    def exists(self, key: str) -> bool:
        """Whether the object exists."""
        return self.read_version(key) is not None

    def read_status(self, key: str) -> FileStatus:
        """Return the size, and the time of the upload."""
        with self._errors("read", key):
            found = obstore.head(self._remote, key)
            return FileStatus(int(found["size"]), found["last_modified"])

    def read_version(self, key: str) -> str | None:
        """Return the ETag."""
        try:
            with self._errors("read", key):
                return _strip_etag(obstore.head(self._remote, key)["e_tag"])
        except FileNotFoundError:
            return None

    def open_parquet(self, key: str) -> BinaryIO:
        """Download a small file whole, and only the requested ranges of a large one."""
        with self._errors("read", key):
            try:
                found = obstore.get(self._remote, key, options={"range": (0, _SMALL_FILE)})
            except GenericError as error:
                # Some servers declare a part as the whole, or have no range of an empty file: download it whole.
                if not any(sign in str(error) for sign in _NO_PARTS):
                    raise
                return io.BytesIO(obstore.get(self._remote, key).bytes())
            if found.meta["size"] <= _SMALL_FILE:
                return io.BytesIO(found.bytes())
            return cast("BinaryIO", _RangedFile(self, key, found.meta["size"]))

    def read_range(self, key: str, start: int, length: int) -> memoryview:
        """Download a range of a file."""
        with self._errors("read", key):
            return memoryview(obstore.get_range(self._remote, key, start=start, length=length))

    def load_cached(self, key: str, load: Callable[[], Result]) -> Result:  # noqa: ARG002
        """Call `load`: checking for a change would cost as much as reading."""
        return load()

    def read_chunks(self, key: str) -> Iterator[bytes]:
        """Stream the object."""
        with self._errors("read", key):
            for piece in obstore.get(self._remote, key).stream(_CHUNK):
                yield bytes(piece)

    def write(self, key: str, content: bytes | memoryview) -> None:
        """Upload the object."""
        with self._errors("write", key):
            obstore.put(self._remote, key, bytes(content))

    def move_in(self, path: Path, key: str) -> None:
        """Upload the file, in parts if it is large."""
        with self._errors("write", key):
            obstore.put(self._remote, key, path)

    def remove(self, key: str) -> None:
        """Delete the object."""
        with self._errors("remove", key):
            obstore.delete(self._remote, key)

    def remove_folder(self, folder: str) -> None:
        """Do nothing: S3 has no folders."""

    def copy_to_local(self, keys: Sequence[str], folder: Path, columns: Sequence[str] | None = None) -> list[Path]:
        """Download concurrently."""

        def copy(key: str) -> Path:
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(pa.ArrowException, ValueError):
                if columns is not None:
                    pq.write_table(pq.ParquetFile(self.open_parquet(key)).read(columns=list(columns)), path)
                    return path
            # A damaged file is copied unchanged; its reader reports it.
            with path.open("wb") as file:
                file.writelines(self.read_chunks(key))
            return path

        return self.map(copy, keys)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Call the function for all items in threads: the store is remote and serves many requests at once."""
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="object-store") as threads:
            return list(threads.map(function, items))

    def remove_abandoned(self, folders: Iterable[str]) -> None:
        """Do nothing: an incomplete upload is not an object, and a lifecycle rule removes its parts."""

    @property
    def _remote(self) -> ObstoreClient:
        return _connect(self.bucket)

    def _errors(self, action: str, key: str) -> Any:
        return translate_s3_errors(action, self.locate(key))


class _RangedFile(io.RawIOBase):
    """A remote file whose reads are range requests; pyarrow makes few, large reads."""

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


def _strip_etag(tag: str | None) -> str:
    return (tag or "").strip('"')  # quoted in heads, unquoted in listings


@cache
def open_s3_store(bucket: Bucket) -> S3Store:
    """Return the process's store for a bucket, with its cache."""
    return S3Store(bucket)


@cache
def _connect(bucket: Bucket) -> ObstoreClient:
    """Create one client per bucket and process; it keeps connections and credentials."""
    options = dict(bucket.options)
    allow_http = options.get("AWS_ALLOW_HTTP", "").lower() == "true"
    return ObstoreClient(
        bucket.name,
        prefix=bucket.prefix or None,
        config=cast("Any", options),
        client_options=cast("Any", {**_CLIENT, "allow_http": allow_http}),
        retry_config=cast("Any", _RETRIES),
    )
