"""Lake files: one Parquet file per table and window, replaced whole, with its fold state in the metadata."""

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
# Increase it when normalizing or folding changes: the next publish then folds every window again.
_FOLD_VERSION = 3


@dataclass(frozen=True, kw_only=True)
class WindowState:
    """The state of a lake file.

    Args:
        version: The fold version.
        folded: The raw files it was folded from, as `dataset/name`.
        complete_at: When the latest complete pull was made.
        refused_at: When the API last refused the window (HTTP 403).
        largest_answer: The most rows that one request for the whole window returned.
        rows: Rows in the file.
        unreadable: Elements without a record ID.
        unread: Rows with a value that did not parse.
        absent: Rows that the latest complete pull no longer returned.
        audited_at: When the latest audit among the complete pulls was made.
    Times are UTC, or None.

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
        """A hash of the fold version and the raw files."""
        return hashlib.sha256("\n".join((self.version, *self.folded)).encode()).hexdigest()


def fold_version(table: Table) -> str:
    """Return the current fold version of a table; lake files with another version are folded again."""
    columns = ",".join(f"{field.name}:{field.type}" for field in table.lake_schema)
    return f"{_FOLD_VERSION}-{hashlib.sha256(columns.encode()).hexdigest()[:12]}"


def write_lake_file(
    folder: DataFolder, table: Table, account: str, window: StorageWindow, *, rows: pa.Table, state: WindowState
) -> None:
    """Replace a window's lake file, durably; raises `StorageFailed`."""
    content = rows.select(table.lake_schema.names).cast(table.lake_schema)
    content = content.replace_schema_metadata({_STATE_KEY: _encode_state(state)})
    sink = io.BytesIO()
    pq.write_table(
        content, sink, compression="zstd", write_page_checksum=True, use_dictionary=_list_dictionary_columns(table)
    )
    folder.store.write(folder.lake_file(table.name, account, window), sink.getbuffer())


def _list_dictionary_columns(table: Table) -> list[str]:
    """List the columns with repeating values; a dictionary of others costs time and a fifth of the file's size."""
    return [c.name for c in table.lake_columns if c.name != "record_id" and c.parse != "instant"]


def read_state(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> WindowState | None:
    """Read the state of a window's lake file; None if it is missing or damaged.

    A lake file can be folded again from raw, so a damaged one counts as missing.
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
    """Return a fingerprint of a window's lake file; None if it is missing or has an old fold version.

    It changes with every write of the file, so that a file replaced between this call and a read is noticed.
    """
    version = folder.store.read_version(folder.lake_file(table.name, account, window))
    if version is None:
        return None
    state = read_state(folder, table, account, window)
    if state is None or state.version != fold_version(table):
        return None
    return f"{state.fingerprint}-{version}"


def read_rows(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> pd.DataFrame | None:
    """Read a window's rows as pandas; None if the lake file is missing or damaged."""
    content = read_table(folder, table, account, window)
    if content is None:
        return None
    rows: pd.DataFrame = content.to_pandas()
    return rows


def read_table(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> pa.Table | None:
    """Read a window's rows; None if the lake file is missing or damaged."""
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
