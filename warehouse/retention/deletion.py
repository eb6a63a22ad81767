"""Deleting what is old: raw, lake and files of whole windows, but for the records that are held."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from warehouse.archive.download_log import fold_download_log
from warehouse.lake.files import read_rows
from warehouse.lake.fold import fold_window, list_raw
from warehouse.lake.normalize import normalize_response
from warehouse.raw.deletion_log import DeletionRecord
from warehouse.raw.log import RawLog
from warehouse.retention.legal_holds import Hold, read_holds
from warehouse.retention.redaction import find_held, is_reduced, keep_held, redact_download_log, redact_responses
from warehouse.schema.tables import (
    ARCHIVE_TABLES,
    CONTENTS,
    LAKE_TABLES,
    RECORDING_FILES,
    RECORDINGS,
    USAGE,
    Table,
)
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow, window_of, window_of_key

_ARCHIVED_IN = ((USAGE, CONTENTS), (RECORDINGS, RECORDING_FILES))


@dataclass(frozen=True)
class Retention:
    """Delete an account's old windows: `plan`, write the record, `carry_out`, publish, write the record again.

    A window goes when all of it is old enough. Its held records stay in raw, lake, files and tables, with the
    requests that brought them; everything else goes. Whoever carries out holds the publishers' lock.
    """

    folder: DataFolder
    account: str

    def plan(self, *, older_than_days: int, now: datetime) -> DeletionRecord:
        """Say what would go at `now` (aware UTC); nothing where a hold keeps the whole account.

        Raises `HoldsUnreadable`, and `RawDamaged` for what may be held and can't be read.
        """
        floor = window_of(now - timedelta(days=older_than_days))
        deletion = DeletionRecord(
            account=self.account, before=floor.key, older_than_days=older_than_days, began_at=now
        )
        holds = read_holds(self.folder, self.account)
        if any(hold.is_of_all for hold in holds):
            return deletion
        for window in self._list_windows():
            if window < floor:
                self._plan_window(window, holds, deletion)
        edge = [
            name
            for table, _ in _ARCHIVED_IN
            if self._find_outdated(table, floor, holds)
            for name in list_raw(self.folder, table, self.account, floor)
        ]
        if edge:
            deletion.windows[floor.key] = {"rows": {}, "held": {}, "raw": _name_files(edge)}
        return deletion

    def describe_raw(self, deletion: DeletionRecord) -> None:
        """Add size and hash of each raw file that goes."""
        for key, window in deletion.windows.items():
            for entry in window["raw"]:
                raw_folder = self.folder.raw_folder(entry["dataset"], self.account, window_of_key(key))
                entry |= self._hash(f"{raw_folder}/{entry['name']}")

    def carry_out(self, deletion: DeletionRecord) -> None:
        """Delete what was planned and is not held by now; run again, it goes on. Raises as `plan` does."""
        holds = read_holds(self.folder, self.account)
        if any(hold.is_of_all for hold in holds):
            return
        for key in deletion.windows:
            window = window_of_key(key)
            if window < deletion.first_kept:
                self._delete_window(window, holds)
            else:
                self._clean_edge(window, holds)
        self._delete_files(deletion)

    def _list_windows(self) -> list[StorageWindow]:
        raw = {
            window
            for table in LAKE_TABLES
            for dataset in table.datasets
            for window in self.folder.raw_windows(dataset, self.account)
        }
        lake = {window for t in LAKE_TABLES for window in self.folder.lake_windows(t.name, self.account)}
        return sorted(raw | lake)

    def _plan_window(self, window: StorageWindow, holds: Sequence[Hold], deletion: DeletionRecord) -> None:
        rows, held, raw = {}, {}, []
        files: list[dict[str, Any]] = []
        for table, archive in _ARCHIVED_IN:
            ids = find_held(self.folder, table, self.account, window, holds=holds)
            for part in (table, archive):
                kept = read_rows(self.folder, part, self.account, window)
                staying = 0 if kept is None else int(kept["record_id"].isin(ids).sum())
                rows[part.name] = 0 if kept is None else len(kept) - staying
                held[part.name] = staying
                names = list_raw(self.folder, part, self.account, window)
                if rows[part.name] or not all(map(is_reduced, names)):
                    raw += _name_files(names)
                if part is archive and kept is not None:
                    going = kept[kept["path"].notna() & ~kept["record_id"].isin(ids)].drop_duplicates("path")
                    named = zip(going["path"], going["sha256"], going["bytes"], strict=True)
                    files += [{"path": path, "sha256": sha, "bytes": int(size)} for path, sha, size in named]
        if raw or any(rows.values()):
            deletion.windows[window.key] = {"rows": rows, "held": held, "raw": raw}
            deletion.files += files

    def _delete_window(self, window: StorageWindow, holds: Sequence[Hold]) -> None:
        for table, archive in _ARCHIVED_IN:
            # Found before anything goes: an attempt does not say whose it is.
            ids = find_held(self.folder, table, self.account, window, holds=holds)
            for dataset in archive.datasets:
                redact_download_log(self.folder, self.account, dataset, window, ids=ids)
            for dataset in table.datasets:
                keep = keep_held(ids, holds) if ids else None
                redact_responses(self.folder, self.account, dataset, window, keep=keep)
            for part in (table, archive):
                self._fold_or_remove(part, window)

    def _fold_or_remove(self, table: Table, window: StorageWindow) -> None:
        lake_file = self.folder.lake_file(table.name, self.account, window)
        if not list_raw(self.folder, table, self.account, window):
            self.folder.store.remove(lake_file)
            self.folder.store.remove_folder(lake_file.rpartition("/")[0])
        elif table in ARCHIVE_TABLES:
            fold_download_log(self.folder, table, self.account, window)
        else:
            fold_window(self.folder, table, self.account, window)

    def _clean_edge(self, floor: StorageWindow, holds: Sequence[Hold]) -> None:
        """Take rows of deleted windows out of the answers of the first that stays."""
        for table, _ in _ARCHIVED_IN:
            outdated = self._find_outdated(table, floor, holds)
            if outdated:

                def keep(element: Any, outdated: frozenset[str] = outdated) -> bool:
                    return not (isinstance(element, dict) and str(element.get("recordId")) in outdated)

                redact_responses(self.folder, self.account, table.datasets[0], floor, keep=keep)
                fold_window(self.folder, table, self.account, floor)

    def _find_outdated(self, table: Table, floor: StorageWindow, holds: Sequence[Hold]) -> frozenset[str]:
        log = RawLog(self.folder, self.account, table.datasets[0])
        latest: dict[str, Any] = {}
        for body in {answer.body for _, answer in log.read(floor, log.names(floor)) if answer.body}:
            frame = normalize_response(body, table).frame.dropna(subset=[table.started])
            for record_id, start in zip(frame["record_id"], frame[table.started], strict=True):
                latest[record_id] = max(start, latest.get(record_id, start))
        held = find_held(self.folder, table, self.account, floor, holds=holds)
        return frozenset(record_id for record_id, start in latest.items() if start < floor.start) - held

    def _delete_files(self, deletion: DeletionRecord) -> None:
        referred = set(self._list_referred())
        deletion.files_kept = [file["sha256"] for file in deletion.files if file["path"] in referred]
        for file in deletion.files:
            if file["path"] not in referred:
                self.folder.store.remove(file["path"])

    def _list_referred(self) -> Iterator[str]:
        """Go through the files that any row of any account refers to."""
        for account in self.folder.accounts():
            for table in ARCHIVE_TABLES:
                for window in self.folder.lake_windows(table.name, account):
                    rows = read_rows(self.folder, table, account, window)
                    if rows is not None:
                        yield from map(str, rows["path"].dropna())

    def _hash(self, key: str) -> dict[str, Any]:
        digest, size = hashlib.sha256(), 0
        for piece in self.folder.store.read_chunks(key):
            digest.update(piece)
            size += len(piece)
        return {"bytes": size, "sha256": digest.hexdigest()}


def _name_files(listing: Sequence[str]) -> list[dict[str, Any]]:
    return [dict(zip(("dataset", "name"), entry.split("/", 1), strict=True)) for entry in listing]
