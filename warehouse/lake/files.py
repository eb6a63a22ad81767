"""The lake: one Parquet file per table and window, replaced whole, that says what it was folded from."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from datetime import datetime

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from warehouse.schema.tables import Table
from warehouse.storage.base import Store
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow

_STATE_KEY = b"iplum.window_state"
# Raise it when reading or folding changes: every window is then folded again from raw at the next publishing.
_FOLD_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class WindowState:
    """What a lake file says of itself: the raw files it stands for and what they tell about the window.

    `folded` names raw files as `dataset/name`. `complete_at` is when the latest complete pull was made,
    `audited_at` the latest audit among them, `refused_at` when the API last refused the window for want of
    permission (all UTC, or None).
    `largest_answer` is the most rows that one request for the whole window brought. `unreadable` counts
    elements without an id, `unread` the rows with a field that didn't read, `absent` those that the latest
    complete pull no longer brought.
    """

    version: str
    folded: tuple[str, ...]
    complete_at: datetime | None
    refused_at: datetime | None
    largest_answer: int
    rows: int
    unreadable: int
    unread: int
    absent: int
    audited_at: datetime | None = None

    @property
    def fingerprint(self) -> str:
        """A hash that is the same for two lake files exactly when they stand for the same raw files."""
        return hashlib.sha256("\n".join((self.version, *self.folded)).encode()).hexdigest()


def fold_version(table: Table) -> str:
    """Name the way rows of `table` are made today; a lake file made another way is folded again."""
    columns = ",".join(f"{field.name}:{field.type}" for field in table.lake_schema)
    return f"{_FOLD_VERSION}-{hashlib.sha256(columns.encode()).hexdigest()[:12]}"


def write_lake_file(
    folder: DataFolder,
    table: Table,
    account: str,
    window: StorageWindow,
    *,
    rows: pa.Table,
    state: WindowState,
) -> None:
    """Replace a window's lake file, durable when this returns; raises `StorageFailed`."""
    content = rows.select(table.lake_schema.names).cast(table.lake_schema)
    content = content.replace_schema_metadata({_STATE_KEY: _encode_state(state)})
    sink = io.BytesIO()
    pq.write_table(
        content, sink, compression="zstd", write_page_checksum=True, use_dictionary=_list_repeating(table)
    )
    folder.store.write(folder.lake_file(table.name, account, window), sink.getbuffer())


def _list_repeating(table: Table) -> list[str]:
    """List the columns whose values repeat; a dictionary of others costs time and a fifth of the file."""
    return [c.name for c in table.lake_columns if c.name != "record_id" and c.parse != "instant"]


def read_state(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> WindowState | None:
    """Read what a window's lake file stands for; None where there is none, or one that is damaged.

    A lake file can always be made again from raw, so a damaged one counts as missing.
    """
    key = folder.lake_file(table.name, account, window)

    def load_state() -> WindowState | None:
        return _load_state(folder.store, key)

    return folder.store.load_cached(key, load_state)


def _load_state(store: Store, key: str) -> WindowState | None:
    try:
        file = store.open_parquet(key)
        metadata = pq.read_metadata(file).metadata
    except (pa.ArrowException, OSError):
        return None
    encoded = (metadata or {}).get(_STATE_KEY)
    return None if encoded is None else _decode_state(encoded)


def read_fingerprint(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> str | None:
    """Name the content of a window's lake file; None where there is none, or one not made as today's are.

    It differs for each writing of the file: one that is exchanged between this look and the reading of its rows
    is then known to have been.
    """
    written = folder.store.read_version(folder.lake_file(table.name, account, window))
    if written is None:
        return None
    state = read_state(folder, table, account, window)
    if state is None or state.version != fold_version(table):
        return None
    return f"{state.fingerprint}-{written}"


def read_rows(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> pd.DataFrame | None:
    """Read a window's rows for pandas; None where there is no lake file, or one that is damaged."""
    content = read_table(folder, table, account, window)
    if content is None:
        return None
    rows: pd.DataFrame = content.to_pandas()
    return rows


def read_table(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> pa.Table | None:
    """Read a window's rows; None where there is no lake file, or one that is damaged."""
    try:
        file = folder.store.open_parquet(folder.lake_file(table.name, account, window))
        content = pq.ParquetFile(file, page_checksum_verification=True).read()
    except (pa.ArrowException, OSError, ValueError):
        return None
    return content if content.schema.names == table.lake_schema.names else None


def _encode_state(state: WindowState) -> bytes:
    return json.dumps(asdict(state), default=lambda instant: instant.isoformat()).encode()


def _decode_state(encoded: bytes) -> WindowState | None:
    try:
        fields = dict(json.loads(encoded))
        for name in ("complete_at", "refused_at", "audited_at"):
            fields[name] = datetime.fromisoformat(fields[name]) if fields.get(name) else None
        return WindowState(**{**fields, "folded": tuple(fields["folded"])})
    except (ValueError, KeyError, TypeError):
        return None  # damaged, or another version's
