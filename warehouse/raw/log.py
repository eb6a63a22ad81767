"""The raw log: verbatim responses and callbacks, append-only (docs/design.md, "The raw log")."""

import hashlib
import io
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from warehouse.errors import RawDamaged
from warehouse.schema.tables import RAW_SCHEMA
from warehouse.storage.base import Store
from warehouse.storage.paths import RAW_SUFFIX, DataFolder
from warehouse.windows import StorageWindow

Reason = Literal["pull", "split", "halves", "stray", "callback", "audit"]


@dataclass(frozen=True, kw_only=True)
class RawResponse:
    """One response with its request, or one callback; `body` is None for a refused request.

    Times are aware UTC. `rows` counts the elements of the body's array. A body that repeats an earlier one of the
    window is None on disk and found by `body_sha256`.
    """

    request_start: datetime
    request_end: datetime
    usage_types: str | None
    reason: Reason
    pull_id: str
    complete: bool
    pulled_at: datetime
    rows: int | None
    body: bytes | None
    body_bytes: int | None = None
    body_sha256: str | None = None

    @property
    def is_callback(self) -> bool:
        """Whether the record was delivered by a callback."""
        return self.reason == "callback"

    @property
    def is_own(self) -> bool:
        """Whether it answers a request for its window; false for callbacks and copied out-of-window records."""
        return self.reason not in {"stray", "callback"}

    def __repr__(self) -> str:
        return f"RawResponse({self.reason}, {self.request_start:%Y-%m-%dT%H:%M}, rows={self.rows})"


@dataclass(frozen=True)
class RawLog:
    """The responses of one dataset of one account, by window."""

    folder: DataFolder
    account: str
    dataset: str

    def append(self, window: StorageWindow, response: RawResponse) -> str:
        """Store a response permanently, and return its key; raises `StorageFailed`.

        A body identical to the last one for the same request is not written again while that one can be read; the
        new row refers to it by its hash.
        """
        name = f"{format_file_time(response.pulled_at)}-{uuid.uuid4().hex[:16]}"
        return self._write(window, response, name)

    def contains(self, window: StorageWindow, name: str) -> bool:
        """Whether a file of this name exists."""
        return self.folder.store.exists(self._key(window, f"{name}{RAW_SUFFIX}"))

    def append_once(self, window: StorageWindow, response: RawResponse, name: str) -> bool:
        """Store a response under a unique name; return False if that exists already."""
        if self.contains(window, name):
            return False
        self._write(window, response, name)
        return True

    def append_callbacks_once(self, window: StorageWindow, events: Sequence[RawResponse], name: str) -> None:
        """Write callbacks, one row each, to a file with this name; do nothing if it exists."""
        if not self.contains(window, name):
            content = _encode([_add_hash(event) for event in events])
            self.folder.store.write(self._key(window, f"{name}{RAW_SUFFIX}"), content)

    def names(self, window: StorageWindow) -> list[str]:
        """List the names of a window's files, oldest first."""
        return self.folder.raw_names(self.dataset, self.account, window)

    def read(self, window: StorageWindow, names: Iterable[str]) -> list[tuple[str, RawResponse]]:
        """Read the responses of the named files with their bodies, in that order.

        A file of callbacks yields one response per callback. A response whose body was in a file that was moved
        away is no longer complete.

        Raises:
            RawDamaged: A file cannot be read.

        """
        responses = [
            (name, response) for name in names for response in _decode(self.folder.store, self._key(window, name))
        ]
        bodies = {response.body_sha256: response.body for _, response in responses if response.body is not None}
        return [(name, _restore_body(response, bodies)) for name, response in responses]

    def _key(self, window: StorageWindow, name: str) -> str:
        return f"{self.folder.raw_folder(self.dataset, self.account, window)}/{name}"

    def _write(self, window: StorageWindow, response: RawResponse, name: str) -> str:
        hashed = _add_hash(response)
        if hashed.body is not None and self._repeats_the_last(window, hashed):
            hashed = replace(hashed, body=None)
        key = self._key(window, f"{name}{RAW_SUFFIX}")
        self.folder.store.write(key, _encode([hashed]))
        return key

    def _repeats_the_last(self, window: StorageWindow, response: RawResponse) -> bool:
        if response.is_callback:
            return False  # callbacks rarely repeat, and a busy day has thousands
        store, keys = self.folder.store, self.folder.raw_files(self.dataset, self.account, window)
        try:
            earlier = (response for key in reversed(keys) for response in _decode(store, key, with_body=False))
            last = next((one for one in earlier if one.body_sha256 and _request(one) == _request(response)), None)
            return last is not None and last.body_sha256 == response.body_sha256 and _has_body(store, keys, response)
        except RawDamaged:
            return False  # the reader reports the file; the new body is stored


def _has_body(store: Store, keys: Iterable[str], response: RawResponse) -> bool:
    """Whether any file has this body. The oldest file mostly does: an unchanged window is pulled many times."""
    return any(
        one.body_sha256 == response.body_sha256 and any(whole.body is not None for whole in _decode(store, key))
        for key in keys
        for one in _decode(store, key, with_body=False)
    )


def _restore_body(response: RawResponse, bodies: Mapping[str | None, bytes]) -> RawResponse:
    body = bodies.get(response.body_sha256)
    is_lost = body is None and response.body_sha256 is not None
    return replace(response, body=body, complete=response.complete and not is_lost)


def _request(response: RawResponse) -> tuple[object, ...]:
    return response.request_start, response.request_end, response.usage_types, response.reason == "stray"


def _add_hash(response: RawResponse) -> RawResponse:
    if response.body is None:
        return response
    return replace(response, body_bytes=len(response.body), body_sha256=_hash(response.body))


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _encode(responses: Sequence[RawResponse]) -> memoryview:
    rows = {name: [getattr(response, name) for response in responses] for name in RAW_SCHEMA.names}
    sink = io.BytesIO()
    pq.write_table(
        pa.table(rows, schema=RAW_SCHEMA),
        sink,
        compression="zstd",
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
    )
    return sink.getbuffer()


def _decode(store: Store, key: str, *, with_body: bool = True) -> list[RawResponse]:
    names = [name for name in RAW_SCHEMA.names if with_body or name != "body"]
    try:
        file = pq.ParquetFile(store.open_parquet(key), page_checksum_verification=True)
        rows = file.read(columns=names).to_pylist()
        responses = [RawResponse(**{"body": None, **row}) for row in rows]
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise RawDamaged(key, store.locate(key)) from error
    # A flipped bit in a page header passes the page's checksum.
    if not responses or any(a.body is not None and _hash(a.body) != a.body_sha256 for a in responses):
        raise RawDamaged(key, store.locate(key))
    return responses


def is_readable(store: Store, key: str) -> bool:
    """Whether a raw file can be read completely."""
    try:
        _decode(store, key)
    except RawDamaged:
        return False
    return True


def format_file_time(instant: datetime) -> str:
    """Format an instant as the sortable prefix of a raw file's name."""
    return instant.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
