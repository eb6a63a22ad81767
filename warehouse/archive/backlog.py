"""The archive's backlog: records to download, including files that were verified and have since been lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from warehouse.archive.download_log import DownloadAttempt, DownloadLog, fold_download_log
from warehouse.archive.media_store import StoredFile
from warehouse.lake.files import read_rows
from warehouse.schema.tables import CONTENTS, TABLES, Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow

_FIRST_WAIT = pd.Timedelta(minutes=15)
_LONGEST_WAIT_DOUBLINGS = 6


def find_backlog(folder: DataFolder, table: Table, account: str, window: StorageWindow, *, now: datetime) -> list[str]:
    """List the record IDs of a window to attempt at `now` (aware UTC), oldest first.

    Verified and gone records are skipped. After a failed attempt the next one waits 15 minutes, then twice as long
    each time, up to 16 hours. Lost files, and texts that only a callback delivered, are attempted at once. Raises
    `RawDamaged` if the lake file must be folded again.
    """
    candidates = _list_candidates(folder, table, account, window)
    known = read_rows(folder, table, account, window)
    if known is None and folder.raw_names(table.datasets[0], account, window):
        # Without the rows, everything would be downloaded again, for example after an upgrade.
        fold_download_log(folder, table, account, window)
        known = read_rows(folder, table, account, window)
    if known is None or known.empty:
        return candidates
    doublings = np.clip(known["attempts"] - 1, 0, _LONGEST_WAIT_DOUBLINGS)
    retry_at = known["fetched_at"] + _FIRST_WAIT * (2**doublings)
    is_due = (retry_at <= now) | is_lost(known) | (known["attempts"] == 0)
    is_waiting = known["status"].isin(["verified", "gone"]) | ~is_due
    done = set(known.loc[is_waiting, "record_id"])
    return [record_id for record_id in candidates if record_id not in done]


def _list_candidates(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> list[str]:
    """List the records that have something to download (docs/iplum-api.md, "Get Usage Content")."""
    rows = read_rows(folder, TABLES[table.source], account, window)
    if rows is not None and table is CONTENTS:
        rows = rows[rows["channel"].isin(["text", "fax"])]
    return [] if rows is None else list(map(str, rows["record_id"]))


def find_faxes(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> set[str]:
    """Return the IDs of a window's faxes, whose content is always a file; none for recordings."""
    rows = read_rows(folder, TABLES[table.source], account, window) if table is CONTENTS else None
    return set() if rows is None else set(map(str, rows.loc[rows["channel"] == "fax", "record_id"]))


@dataclass(frozen=True)
class LostFiles:
    """Records of one window whose file is lost; `reason` says how, without content."""

    table: Table
    account: str
    window: StorageWindow
    record_ids: tuple[str, ...]
    reason: str


def mark_lost(folder: DataFolder, losses: Sequence[LostFiles], *, at: datetime) -> None:
    """Record lost files in the download log and fold their windows; `at` is aware UTC.

    Raises `StorageFailed` and `RawDamaged`.
    """
    for loss in losses:
        attempts = [
            DownloadAttempt(record_id=record_id, attempted_at=at, status="lost", error=loss.reason)
            for record_id in loss.record_ids
        ]
        DownloadLog(folder, loss.account, loss.table.datasets[0]).append(loss.window, attempts)
        fold_download_log(folder, loss.table, loss.account, loss.window)


def find_lost_files(folder: DataFolder, table: Table, account: str, window: StorageWindow) -> dict[str, StoredFile]:
    """Return the expected file of each record of a window whose file is lost."""
    rows = read_rows(folder, table, account, window)
    if rows is None:
        return {}
    lost = rows.loc[is_lost(rows), ["record_id", "sha256", "bytes", "media_type", "path"]]
    return {
        str(record_id): StoredFile(str(sha256), int(size), str(media_type), str(path))
        for record_id, sha256, size, media_type, path in lost.itertuples(index=False)
    }


def is_lost(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Whether each row's file was verified once and is missing now."""
    return rows["path"].notna() & (rows["status"] != "verified")
