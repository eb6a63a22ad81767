"""The download log: every attempt to download a content or recording, and its fold into lake files."""

import hashlib
import io
import uuid
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from warehouse.archive.media_store import StoredFile
from warehouse.errors import RawDamaged
from warehouse.lake.files import WindowState, fold_version, read_rows, write_lake_file
from warehouse.lake.fold import FoldResult, compute_rows, fold_window
from warehouse.lake.links import describe_links, find_moved_records, list_raw, read_links
from warehouse.lake.versions import VersionCache
from warehouse.raw.log import format_file_time
from warehouse.schema.tables import ARCHIVE_TABLES, DOWNLOAD_LOG_SCHEMA, TABLES, Table
from warehouse.storage.paths import RAW_SUFFIX, DataFolder
from warehouse.windows import StorageWindow

# An announced file may not be ready yet; after this time it counts as gone.
_GONE_AFTER = timedelta(days=1)
# Marks copies of the attempts on records that moved to another window, which are not copied further.
_MOVED = "-moved"


@dataclass(frozen=True, kw_only=True)
class DownloadAttempt:
    """One attempt to download the content of a record; `attempted_at` is aware UTC.

    A `verified` attempt has a body, or a file with hash, size, type and path. A `pending` content is not available
    yet. A `failed` download was rejected. `lost` means that the file of an earlier attempt is missing or damaged.
    `error` is the cause, without content or URL. `origin` is `callback` for the text of a callback, which is pending
    until iPlum returns it on request.
    """

    record_id: str = field(repr=False)
    attempted_at: datetime
    status: Literal["verified", "pending", "failed", "lost"]
    kind: Literal["text", "media", "empty"] | None = None
    body: str | None = field(default=None, repr=False)
    sha256: str | None = None
    bytes: int | None = None
    media_type: str | None = None
    path: str | None = None
    error: str | None = None
    origin: Literal["pull", "callback"] = "pull"

    @classmethod
    def of_content(cls, record_id: str, content: str | StoredFile, attempted_at: datetime) -> "DownloadAttempt":
        """Build the attempt that verified a text or a file."""
        if isinstance(content, str):
            return cls.of_body(record_id, content, attempted_at)
        return cls(record_id=record_id, attempted_at=attempted_at, status="verified", kind="media", **asdict(content))

    @classmethod
    def of_body(cls, record_id: str, body: str, attempted_at: datetime) -> "DownloadAttempt":
        """Build the attempt for the text of a message, which may be empty."""
        # A lone surrogate cannot be stored as UTF-8, so its escape is stored.
        encoded = body.encode("utf-8", errors="backslashreplace")
        return cls(
            record_id=record_id,
            attempted_at=attempted_at,
            status="verified",
            kind="text" if body else "empty",
            body=encoded.decode(),
            sha256=hashlib.sha256(encoded).hexdigest(),
            bytes=len(encoded),
            media_type="text/plain",
        )

    @classmethod
    def of_callback(cls, record_id: str, body: str, received_at: datetime) -> "DownloadAttempt":
        """Build the entry for a text that a callback delivered: anyone who has the token can send it."""
        return replace(cls.of_body(record_id, body, received_at), status="pending", origin="callback")


@dataclass(frozen=True)
class DownloadLog:
    """The attempts for one dataset (`contents` or `recording_files`) of one account, append-only."""

    folder: DataFolder
    account: str
    dataset: str

    def append(self, window: StorageWindow, attempts: Sequence[DownloadAttempt]) -> None:
        """Store attempts to download records of a window, durably; raises `StorageFailed`."""
        latest = max(attempt.attempted_at for attempt in attempts)
        self.append_once(window, attempts, f"{format_file_time(latest)}-{uuid.uuid4().hex[:16]}")

    def append_once(self, window: StorageWindow, attempts: Sequence[DownloadAttempt], name: str) -> None:
        """Store attempts under a unique name, unless it exists already."""
        rows = pa.Table.from_pylist([asdict(attempt) for attempt in attempts], schema=DOWNLOAD_LOG_SCHEMA)
        self._write_once(window, rows, name)

    def append_selection_once(
        self,
        window: StorageWindow,
        names: Sequence[str],
        record_ids: Collection[str],
        name: str,
        *,
        source: StorageWindow | None = None,
    ) -> None:
        """Copy the attempts on some records from the named files of `source` into one file; raises `RawDamaged`.

        `source` is another window, or by default `window` itself.
        """
        rows = self._read(source or window, names)
        chosen = rows.filter(pc.is_in(rows["record_id"], pa.array(sorted(record_ids), pa.string())))
        # The named files may include an earlier selection.
        chosen = chosen.group_by(DOWNLOAD_LOG_SCHEMA.names, use_threads=False).aggregate([])
        if chosen.num_rows:
            self._write_once(window, chosen.select(DOWNLOAD_LOG_SCHEMA.names).cast(DOWNLOAD_LOG_SCHEMA), name)

    def _write_once(self, window: StorageWindow, rows: pa.Table, name: str) -> None:
        key = f"{self.folder.raw_folder(self.dataset, self.account, window)}/{name}{RAW_SUFFIX}"
        if self.folder.store.exists(key):
            return
        sink = io.BytesIO()
        pq.write_table(rows, sink, compression="zstd")
        self.folder.store.write(key, sink.getbuffer())

    def read(self, window: StorageWindow, names: Sequence[str]) -> pd.DataFrame:
        """Read the attempts of the named files, oldest first; raises `RawDamaged`."""
        frame: pd.DataFrame = self._read(window, names).to_pandas()
        return frame.sort_values(["attempted_at", "record_id"], kind="stable", ignore_index=True)

    def _read(self, window: StorageWindow, names: Sequence[str]) -> pa.Table:
        store, folder = self.folder.store, self.folder.raw_folder(self.dataset, self.account, window)
        tables = [DOWNLOAD_LOG_SCHEMA.empty_table()]
        for key in (f"{folder}/{name}" for name in names):
            try:
                tables.append(self._add_origin(pq.ParquetFile(store.open_parquet(key)).read(), window, key))
            except (pa.ArrowException, OSError, ValueError) as error:
                raise RawDamaged(key, store.locate(key)) from error
        return pa.concat_tables(tables)

    def _add_origin(self, attempts: pa.Table, window: StorageWindow, key: str) -> pa.Table:
        """Add the column `origin` to a file of version 0.1.0, which stored the texts of callbacks as verified."""
        if "origin" in attempts.schema.names:
            return attempts
        # A drain gave the file of texts the name of the file of callbacks that delivered them.
        callbacks = self.folder.raw_folder(TABLES[TABLES[self.dataset].source].datasets[-1], self.account, window)
        is_delivered = self.folder.store.exists(f"{callbacks}/{key.rpartition('/')[2]}")
        added = {"origin": "callback" if is_delivered else "pull", **({"status": "pending"} if is_delivered else {})}
        columns = {name: attempts[name] for name in attempts.schema.names}
        columns |= {name: pa.array([value] * len(attempts), pa.string()) for name, value in added.items()}
        return pa.table(columns).select(DOWNLOAD_LOG_SCHEMA.names).cast(DOWNLOAD_LOG_SCHEMA)


def fold_download_log(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> FoldResult:
    """Update a window's lake file of an archive table. Safe next to other runs without a lock.

    Raises `StorageFailed` and `RawDamaged`.
    """
    before = read_rows(folder, table, account, window)
    while True:
        linked = describe_links(folder, table, account, window)
        listing = list_raw(folder, table, account, window)
        rows = _merge_files(folder, table, account, window, listing)
        state = WindowState(
            version=fold_version(table),
            folded=listing,
            complete_at=None,
            refused_at=None,
            largest_answer=0,
            rows=len(rows),
            unreadable=0,
            unread=0,
            absent=0,
            linked=linked,
        )
        write_lake_file(folder, table, account, window, rows=rows, state=state)
        if list_raw(folder, table, account, window) == listing:
            return FoldResult(state, len(rows) - (0 if before is None else len(before)), 0, frozenset())


def fold_lake_file(
    folder: DataFolder, table: Table, account: str, window: StorageWindow, cache: VersionCache | None = None
) -> FoldResult:
    """Fold a window of any lake table; raises `StorageFailed` and `RawDamaged`."""
    if table in ARCHIVE_TABLES:
        return fold_download_log(folder, table, account, window)
    return fold_window(folder, table, account, window, cache)


def compute_lake_rows(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> pa.Table:
    """Compute a window's rows from its raw files, as its lake file should hold them; raises `RawDamaged`."""
    if table not in ARCHIVE_TABLES:
        return compute_rows(folder, table, account, window)
    return _merge_files(folder, table, account, window, list_raw(folder, table, account, window))


def copy_moved_attempts(folder: DataFolder, table: Table, account: str) -> None:
    """Copy the attempts on linked records to the window that has their row; raises `RawDamaged`.

    A record whose start is corrected across the edge of a window is not downloaded again.
    """
    source = TABLES[table.source]
    links = read_links(folder, source, account)
    moved: dict[tuple[StorageWindow, StorageWindow], list[str]] = {}
    for home in sorted(frozenset[StorageWindow]().union(*links.values())):
        rows = read_rows(folder, source, account, home)
        for record_id in sorted(links.keys() & set(rows["record_id"] if rows is not None else ())):
            for window in links[record_id] - {home}:
                moved.setdefault((window, home), []).append(record_id)
    log = DownloadLog(folder, account, table.datasets[0])
    for (window, home), ids in moved.items():
        names = [name for name in folder.raw_names(log.dataset, account, window) if _MOVED not in name]
        if names:
            digest = hashlib.sha256("\n".join([window.key, *names, *ids]).encode()).hexdigest()[:16]
            name = f"{names[-1].partition('-')[0]}-{digest}{_MOVED}"
            log.append_selection_once(home, names, ids, name, source=window)


def _merge_files(
    folder: DataFolder, table: Table, account: str, window: StorageWindow, listing: Sequence[str]
) -> pa.Table:
    names = [entry.partition("/")[2] for entry in listing]
    attempts = DownloadLog(folder, account, table.datasets[0]).read(window, names)
    moved = find_moved_records(folder, table, account, window)
    attempts = attempts[~attempts["record_id"].isin(moved)]
    if attempts.empty:
        return table.lake_schema.empty_table()
    rows = merge_attempts(attempts)
    return pa.Table.from_pandas(rows, schema=table.lake_schema, preserve_index=False)


def merge_attempts(attempts: pd.DataFrame) -> pd.DataFrame:
    """Merge attempts into one row per record: the first verified one, else the latest.

    After a loss, the row is `failed` until the file is back, and describes the expected file. Adds `attempts` and
    `fetched_at`; `pending` becomes `gone` after a day of attempts. The text of a callback is used only while iPlum
    has not returned one.
    """
    # A record that moved back to an earlier window has its own attempts and copies of them.
    ordered = attempts.drop_duplicates().sort_values(["attempted_at", "status", "sha256", "error"], kind="stable")
    is_delivered = ordered["origin"] == "callback"
    requested = set(ordered.loc[~is_delivered, "record_id"])
    delivered = ordered[is_delivered].drop_duplicates("record_id", keep="first")
    is_only = ordered.index.isin(delivered.index[~delivered["record_id"].isin(requested)])
    rows = _merge_requested(ordered[~is_delivered | is_only])
    rows.loc[~rows["record_id"].isin(requested), "attempts"] = 0
    return _add_delivered(rows, delivered.set_index("record_id"))


def _add_delivered(rows: pd.DataFrame, delivered: pd.DataFrame) -> pd.DataFrame:
    """Add the texts of callbacks to the rows without content, and compute `origin`."""
    is_same = rows["sha256"].notna() & (rows["sha256"] == rows["record_id"].map(delivered["sha256"]))
    rows["origin"] = rows["origin"].where(rows["sha256"].notna(), None)
    rows.loc[is_same & (rows["status"] == "verified"), "origin"] = "both"
    is_empty = rows["sha256"].isna() & rows["record_id"].isin(delivered.index)
    for name in ("kind", "body", "sha256", "bytes", "media_type", "origin"):
        rows[name] = rows[name].where(~is_empty, rows["record_id"].map(delivered[name]))
    return rows


def _merge_requested(ordered: pd.DataFrame) -> pd.DataFrame:
    by_id = ordered.groupby("record_id", sort=False)
    first, count = by_id["attempted_at"].min(), by_id.size()
    lost = ordered[ordered["status"] == "lost"].groupby("record_id")["attempted_at"].max()
    lost_at = ordered["record_id"].map(lost).astype("datetime64[us, UTC]") if len(lost) else pd.NaT
    was_verified = ordered["status"] == "verified"
    is_valid = was_verified & ~(ordered["attempted_at"] <= lost_at)
    verified = ordered[is_valid].drop_duplicates("record_id", keep="first")
    others = ordered[~ordered["record_id"].isin(verified["record_id"])].drop_duplicates("record_id", keep="last")
    expected = ordered[was_verified].drop_duplicates("record_id", keep="first").set_index("record_id")
    for name in ("kind", "sha256", "bytes", "media_type", "path"):
        filled = others[name].where(others[name].notna(), others["record_id"].map(expected[name]))
        others = others.assign(**{name: filled})
    rows = pd.concat([verified, others]).sort_values("record_id", ignore_index=True)
    rows = rows.rename(columns={"attempted_at": "fetched_at"})
    rows["attempts"] = rows["record_id"].map(count).astype("int64")
    waited = rows["fetched_at"] - rows["record_id"].map({**first, **lost})
    rows.loc[(rows["status"] == "pending") & (waited >= _GONE_AFTER), "status"] = "gone"
    rows.loc[rows["status"] == "lost", "status"] = "failed"
    return rows
