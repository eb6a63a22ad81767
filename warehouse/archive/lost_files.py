"""Files that were verified once and are missing or damaged now: marked, so that the archive fetches them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from warehouse.archive.download_log import DownloadAttempt, DownloadLog, fold_download_log
from warehouse.archive.media_store import StoredFile
from warehouse.lake.files import read_rows
from warehouse.schema.tables import Table
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow


@dataclass(frozen=True)
class LostFiles:
    """Records of one window whose file is lost; `reason` says how, without content."""

    table: Table
    account: str
    window: StorageWindow
    record_ids: tuple[str, ...]
    reason: str


def mark_lost(folder: DataFolder, losses: Sequence[LostFiles], *, at: datetime) -> None:
    """Note losses in the log of attempts and fold their windows, for the next archive run; `at` is aware UTC.

    Raises `StorageFailed` and `RawDamaged`.
    """
    for loss in losses:
        log = DownloadLog(folder, loss.account, loss.table.datasets[0])
        log.append(
            loss.window,
            [
                DownloadAttempt(record_id=record_id, attempted_at=at, status="lost", error=loss.reason)
                for record_id in loss.record_ids
            ],
        )
        fold_download_log(folder, loss.table, loss.account, loss.window)


def find_lost_files(
    folder: DataFolder, table: Table, account: str, window: StorageWindow
) -> dict[str, StoredFile]:
    """Say of each record of a window whose file is lost what that file was."""
    rows = read_rows(folder, table, account, window)
    if rows is None:
        return {}
    lost = rows[is_lost(rows)]
    described = zip(
        lost["record_id"], lost["sha256"], lost["bytes"], lost["media_type"], lost["path"], strict=True
    )
    return {
        str(record_id): StoredFile(str(sha256), int(size), str(media_type), str(path))
        for record_id, sha256, size, media_type, path in described
    }


def is_lost(rows: pd.DataFrame) -> pd.Series[bool]:
    """Say which rows have a file that was verified once and is not there."""
    return rows["path"].notna() & (rows["status"] != "verified")
