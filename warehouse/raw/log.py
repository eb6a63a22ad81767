"""The raw log: every answer verbatim, written once, never changed."""

from __future__ import annotations

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
    """One answer and the request that brought it, or one pushed event; `body` is None for a refused request.

    Times are aware UTC. `rows` counts the elements of the answer. A body that stands in an earlier file of the
    same window is None on disk, and found again by `body_sha256`.
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
        """Whether it was pushed, not asked for."""
        return self.reason == "callback"

    def __repr__(self) -> str:
        return f"RawResponse({self.reason}, {self.request_start:%Y-%m-%dT%H:%M}, rows={self.rows})"


@dataclass(frozen=True)
class RawLog:
    """The answers of one dataset of one account: `append` them and `read` them back, window by window."""

    folder: DataFolder
    account: str
    dataset: str

    def append(self, window: StorageWindow, answer: RawResponse) -> str:
        """Keep an answer for good, and name its file, durable when this returns; raises `StorageFailed`.

        A body identical to the last one for the same request is not written a second time, as long as it can
        still be read: the new row then refers to it by its hash.
        """
        name = f"{file_time(answer.pulled_at)}-{uuid.uuid4().hex[:16]}"
        return self._write(window, answer, name)

    def holds(self, window: StorageWindow, name: str) -> bool:
        """Say whether an answer is kept under this name."""
        return self.folder.store.has(self._key(window, f"{name}{RAW_SUFFIX}"))

    def append_once(self, window: StorageWindow, answer: RawResponse, name: str) -> bool:
        """Keep an answer under a name that tells it from all others; False where it is kept already."""
        if self.holds(window, name):
            return False
        self._write(window, answer, name)
        return True

    def append_events_once(self, window: StorageWindow, events: Sequence[RawResponse], name: str) -> None:
        """Keep pushed events, a row each, in one file of this name; a second time, nothing happens."""
        if not self.holds(window, name):
            content = _encode([_seal(event) for event in events])
            self.folder.store.write(self._key(window, f"{name}{RAW_SUFFIX}"), content)

    def names(self, window: StorageWindow) -> list[str]:
        """List a window's answers by the names of their files, oldest first."""
        return self.folder.raw_names(self.dataset, self.account, window)

    def read(self, window: StorageWindow, names: Iterable[str]) -> list[tuple[str, RawResponse]]:
        """Read the answers of the named files with their bodies, in that order; raises `RawDamaged`.

        A file of pushed events gives as many answers as it holds.
        One whose body is gone, since the file that held it was moved away, no longer counts as complete.
        """
        answers = [
            (name, answer) for name in names for answer in _decode(self.folder.store, self._key(window, name))
        ]
        bodies = {answer.body_sha256: answer.body for _, answer in answers if answer.body is not None}
        return [(name, _give_body(answer, bodies)) for name, answer in answers]

    def _key(self, window: StorageWindow, name: str) -> str:
        return f"{self.folder.raw_folder(self.dataset, self.account, window)}/{name}"

    def _write(self, window: StorageWindow, answer: RawResponse, name: str) -> str:
        sealed = _seal(answer)
        if sealed.body is not None and self._repeats_the_last(window, sealed):
            sealed = replace(sealed, body=None)
        key = self._key(window, f"{name}{RAW_SUFFIX}")
        self.folder.store.write(key, _encode([sealed]))
        return key

    def _repeats_the_last(self, window: StorageWindow, answer: RawResponse) -> bool:
        if answer.is_callback:
            return False  # each is a request of its own, and a busy day has thousands
        store, keys = self.folder.store, self.folder.raw_files(self.dataset, self.account, window)
        try:
            earlier = (answer for key in reversed(keys) for answer in _decode(store, key, with_body=False))
            last = next((one for one in earlier if one.body_sha256 and _request(one) == _request(answer)), None)
            return last is not None and last.body_sha256 == answer.body_sha256 and _holds_body(store, keys, answer)
        except RawDamaged:
            return False  # reading will name the file; what comes in is kept whole


def _holds_body(store: Store, keys: Iterable[str], answer: RawResponse) -> bool:
    """Look from the oldest on, which mostly holds it: a window that changes no more is pulled many times."""
    return any(
        one.body_sha256 == answer.body_sha256 and any(whole.body is not None for whole in _decode(store, key))
        for key in keys
        for one in _decode(store, key, with_body=False)
    )


def _give_body(answer: RawResponse, bodies: Mapping[str | None, bytes]) -> RawResponse:
    body = bodies.get(answer.body_sha256)
    is_lost = body is None and answer.body_sha256 is not None
    return replace(answer, body=body, complete=answer.complete and not is_lost)


def _request(answer: RawResponse) -> tuple[object, ...]:
    return answer.request_start, answer.request_end, answer.usage_types, answer.reason == "stray"


def _seal(answer: RawResponse) -> RawResponse:
    if answer.body is None:
        return answer
    return replace(answer, body_bytes=len(answer.body), body_sha256=_hash(answer.body))


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _encode(answers: Sequence[RawResponse]) -> memoryview:
    rows = {name: [getattr(answer, name) for answer in answers] for name in RAW_SCHEMA.names}
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
        answers = [RawResponse(**{"body": None, **row}) for row in rows]
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise RawDamaged(key, store.locate(key)) from error
    # Bits that turned over in what describes a page pass its checksum.
    if not answers or any(a.body is not None and _hash(a.body) != a.body_sha256 for a in answers):
        raise RawDamaged(key, store.locate(key))
    return answers


def is_readable(store: Store, key: str) -> bool:
    """Say whether a raw file can be read to its end."""
    try:
        _decode(store, key)
    except RawDamaged:
        return False
    return True


def file_time(instant: datetime) -> str:
    """Write an instant as the names of raw files begin with it, so that they sort by time."""
    return instant.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
