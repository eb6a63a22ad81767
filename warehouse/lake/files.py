"""Lake files: one Parquet file per table and window, replaced whole, with its fold state in the metadata."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from warehouse.schema.tables import Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow

_STATE_KEY = b"iplum.window_state"
# Increase it when normalizing or folding changes: the next publish then folds every window again.
_FOLD_VERSION = 6


@dataclass(frozen=True, kw_only=True)
class WindowState:
    """The state of a lake file, stored in its metadata.

    Args:
        version: The fold version.
        folded: The raw files it was folded from, as `dataset/name`.
        complete_at: Time of the latest complete pull (UTC), or None.
        refused_at: Time of the latest refusal (HTTP 403) of the window (UTC), or None.
        largest_answer: The most rows that one request for the whole window returned.
        rows: Rows in the file.
        unreadable: Records without an ID in the latest pull.
        unreadable_at: The positions of the first of them in their responses, from 1.
        unread: Rows with a value that did not parse.
        absent: Rows that the latest complete pull no longer returned.
        audited_at: Time of the latest audit among the complete pulls (UTC), or None.
        conflicts: Rows whose latest response had different payloads under the same ID.
        implausible: Rows with a time too far from the response that returned them.
        missing_fields: The documented fields that no record has.
        spans: The windows of each record whose versions start in several windows, as keys, by record ID.
        complete_types: The time of the latest complete pull (UTC) of each usage type; empty for recordings.
        refused_types: The time at which iPlum last refused a usage type (UTC), of the types refused in this window.
        linked: A hash of the links the file depends on; "" without any (`warehouse.lake.links`).

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
    conflicts: int = 0
    implausible: int = 0
    missing_fields: tuple[str, ...] = ()
    spans: Mapping[str, Sequence[str]] = field(default_factory=dict)
    linked: str = ""
    unreadable_at: tuple[int, ...] = ()
    complete_types: Mapping[str, datetime] = field(default_factory=dict)
    refused_types: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """A hash of the fold version, the raw files and the links."""
        return hashlib.sha256("\n".join((self.version, self.linked, *self.folded)).encode()).hexdigest()


def fold_version(table: Table) -> str:
    """Return the current fold version of a table; lake files with another version are folded again."""
    columns = ",".join(f"{field.name}:{field.type}" for field in table.lake_schema)
    return f"{_FOLD_VERSION}-{hashlib.sha256(columns.encode()).hexdigest()[:12]}"


def write_lake_file(
    folder: DataFolder, table: Table, account: str, window: StorageWindow, *, rows: pa.Table, state: WindowState
) -> None:
    """Replace the lake file of a window durably; raises `StorageFailed`."""
    content = rows.select(table.lake_schema.names).cast(table.lake_schema)
    encoded = json.dumps(asdict(state), default=datetime.isoformat).encode()
    content = content.replace_schema_metadata({_STATE_KEY: encoded})
    # Only for repeating values: a dictionary of others costs time and a fifth of the file's size.
    dictionaries = [c.name for c in table.lake_columns if c.name != "record_id" and c.parse != "instant"]
    sink = io.BytesIO()
    pq.write_table(content, sink, compression="zstd", write_page_checksum=True, use_dictionary=dictionaries)
    folder.store.write(folder.lake_file(table.name, account, window), sink.getbuffer())


def read_state(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> WindowState | None:
    """Read the state of a window's lake file; None if it is missing or damaged.

    A lake file can be folded again from raw, so a damaged one counts as missing.
    """
    key = folder.lake_file(table.name, account, window)

    def load_state() -> WindowState | None:
        try:
            metadata = pq.read_metadata(folder.store.open_parquet(key)).metadata
        except (pa.ArrowException, OSError):
            return None
        return _decode_state((metadata or {}).get(_STATE_KEY, b""))

    return folder.store.load_cached(key, load_state)


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
    return None if content is None else content.to_pandas()


def read_table(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> pa.Table | None:
    """Read a window's rows; None if the lake file is missing or damaged."""
    try:
        file = folder.store.open_parquet(folder.lake_file(table.name, account, window))
        content = pq.ParquetFile(file, page_checksum_verification=True).read()
    except (pa.ArrowException, OSError, ValueError):
        return None
    return content if content.schema.names == table.lake_schema.names else None


def _decode_state(encoded: bytes) -> WindowState | None:
    try:
        fields = dict(json.loads(encoded))
        for name in ("complete_at", "refused_at", "audited_at"):
            fields[name] = datetime.fromisoformat(fields[name]) if fields.get(name) else None
        for name in ("complete_types", "refused_types"):
            fields[name] = {key: datetime.fromisoformat(at) for key, at in fields.get(name, {}).items()}
        fields["folded"] = tuple(fields["folded"])
        for name in ("missing_fields", "unreadable_at"):
            fields[name] = tuple(fields.get(name, ()))
        return WindowState(**fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # missing, damaged, or of another version
