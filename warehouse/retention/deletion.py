"""Deletion of old windows: raw files, lake files and media, except held records."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from warehouse.archive.download_log import DownloadLog, fold_lake_file
from warehouse.lake.files import read_rows
from warehouse.lake.links import find_siblings, list_raw, read_links
from warehouse.lake.normalize import normalize_response
from warehouse.raw.deletion_log import DeletionRecord, find_media_hash
from warehouse.raw.log import RawLog
from warehouse.retention.legal_holds import Hold, holds_account, read_holds
from warehouse.retention.redaction import (
    build_held_filter,
    find_held,
    is_redacted,
    redact_download_log,
    redact_responses,
)
from warehouse.schema.tables import ARCHIVE_TABLES, LAKE_TABLES, TABLES_WITH_ARCHIVE, Table
from warehouse.storage.hashing import hash_chunks
from warehouse.storage.paths import MEDIA, DataFolder
from warehouse.windows import StorageWindow, window_of, window_of_key

_LEFTOVER_AGE = timedelta(days=1)


@dataclass(frozen=True)
class Retention:
    """The deletion of an account's old windows, and of media files that no record refers to.

    Call `plan`, save the deletion record, call `carry_out` under the publishers' lock, publish, and save the
    record again. A window is deleted when all of its days are old enough. Held records are kept in raw log, lake,
    media and tables, with the requests that returned them.
    """

    folder: DataFolder
    account: str

    def plan(self, *, older_than_days: int, now: datetime) -> DeletionRecord:
        """Return what would be deleted at `now` (aware UTC); nothing if a hold covers the whole account.

        Raises:
            HoldsUnreadable: The holds cannot be read.
            RawDamaged: A raw file that may contain held records cannot be read.

        """
        first_kept = window_of(now - timedelta(days=older_than_days))
        deletion = DeletionRecord(
            account=self.account, before=first_kept.key, older_than_days=older_than_days, began_at=now
        )
        if holds_account(self.folder, self.account):
            return deletion
        holds = read_holds(self.folder, self.account)
        for window in self._list_windows():
            if window < first_kept:
                self._plan_window(window, holds, deletion)
        edge = [
            name
            for table, _ in TABLES_WITH_ARCHIVE
            if self._find_outdated(table, first_kept, holds)
            for name in list_raw(self.folder, table, self.account, first_kept)
        ]
        if edge:
            deletion.windows[first_kept.key] = {"rows": {}, "held": {}, "raw": _to_entries(edge)}
        if not read_holds(self.folder):
            deletion.files += self._find_leftovers(now, {file["path"] for file in deletion.files})
        return deletion

    def _find_leftovers(self, now: datetime, planned: Collection[str]) -> Iterator[dict[str, Any]]:
        """Yield media files without a record, such as those of an archive run that overlapped a deletion.

        An archive run stores a file before it logs the attempt, so younger files are left alone. With a legal hold,
        all are: whose they are is not known. A row of the lake counts as well, because a download log may be lost.
        """
        referenced = {*planned, *self._list_referenced_files(), *self._list_files_in_lake()}
        for key in self.folder.store.list_keys(MEDIA):
            digest = find_media_hash(self.folder, key)
            if key in referenced or digest is None:
                continue
            status = self.folder.store.read_status(key)
            if status.modified_at < now - _LEFTOVER_AGE:
                yield {"path": key, "sha256": digest, "bytes": status.bytes}

    def describe_raw(self, deletion: DeletionRecord) -> None:
        """Add size and hash of each raw file to be deleted."""
        listed = [(key, entry) for key, window in deletion.windows.items() for entry in window["raw"]]
        listed += [(entry["window"], entry) for entry in deletion.rewritten]
        for key, entry in listed:
            raw_folder = self.folder.raw_folder(entry["dataset"], self.account, window_of_key(key))
            digest, size = hash_chunks(self.folder.store.read_chunks(f"{raw_folder}/{entry['name']}"))
            entry |= {"bytes": size, "sha256": digest}

    def carry_out(self, deletion: DeletionRecord) -> None:
        """Delete the planned records that are not held by now; raises as `plan` does.

        Running it again continues an interrupted deletion.
        """
        if holds_account(self.folder, self.account):
            return
        holds = read_holds(self.folder, self.account)
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
        for table, archive in TABLES_WITH_ARCHIVE:
            ids = find_held(self.folder, table, self.account, window, holds=holds)
            deletion.rewritten += self._list_moved(table, archive, window, ids)
            for part in (table, archive):
                kept = read_rows(self.folder, part, self.account, window)
                held_rows = 0 if kept is None else int(kept["record_id"].isin(ids).sum())
                rows[part.name] = 0 if kept is None else len(kept) - held_rows
                held[part.name] = held_rows
                names = list_raw(self.folder, part, self.account, window)
                if rows[part.name] or not all(map(is_redacted, names)):
                    raw += _to_entries(names)
                if part is archive and kept is not None:
                    deleted = kept[kept["path"].notna() & ~kept["record_id"].isin(ids)].drop_duplicates("path")
                    named = zip(deleted["path"], deleted["sha256"], deleted["bytes"], strict=True)
                    files += [{"path": path, "sha256": sha, "bytes": int(size)} for path, sha, size in named]
        if raw or any(rows.values()):
            deletion.windows[window.key] = {"rows": rows, "held": held, "raw": raw}
            deletion.files += files

    def _delete_window(self, window: StorageWindow, holds: Sequence[Hold]) -> None:
        for table, archive in TABLES_WITH_ARCHIVE:
            # Before anything is deleted: the download log does not say whose record it is.
            ids = find_held(self.folder, table, self.account, window, holds=holds)
            self._delete_moved(table, archive, window, ids)
            for dataset in archive.datasets:
                redact_download_log(self.folder, self.account, dataset, window, ids=ids)
            for dataset in table.datasets:
                is_kept = build_held_filter(ids, holds) if ids else None
                redact_responses(self.folder, self.account, dataset, window, is_kept=is_kept)
            for part in (table, archive):
                self._fold_or_remove(part, window)

    def _fold_or_remove(self, table: Table, window: StorageWindow) -> None:
        if list_raw(self.folder, table, self.account, window):
            fold_lake_file(self.folder, table, self.account, window)
            return
        lake_file = self.folder.lake_file(table.name, self.account, window)
        self.folder.store.remove(lake_file)
        self.folder.store.remove_folder(lake_file.rpartition("/")[0])

    def _find_moved(
        self, table: Table, window: StorageWindow, held: frozenset[str]
    ) -> Iterator[tuple[StorageWindow, frozenset[str]]]:
        """Yield the other windows that have versions of a window's deleted records, with the IDs of these."""
        rows = read_rows(self.folder, table, self.account, window)
        deleted = set(rows["record_id"] if rows is not None else ()) - held
        for sibling, ids in find_siblings(read_links(self.folder, table, self.account), window).items():
            if moved := frozenset(ids & deleted):
                yield sibling, moved

    def _list_moved(
        self, table: Table, archive: Table, window: StorageWindow, held: frozenset[str]
    ) -> list[dict[str, Any]]:
        """List the raw files that `_delete_moved` replaces."""
        return [
            {"window": sibling.key, **entry}
            for sibling, _ in self._find_moved(table, window, held)
            for part in (table, archive)
            for entry in _to_entries(list_raw(self.folder, part, self.account, sibling))
        ]

    def _delete_moved(self, table: Table, archive: Table, window: StorageWindow, held: frozenset[str]) -> None:
        """Remove the records of a window from their other windows, which would show an older version of them."""
        for sibling, moved in self._find_moved(table, window, held):
            self._remove_records(table, sibling, moved)
            log = DownloadLog(self.folder, self.account, archive.datasets[0])
            names = self.folder.raw_names(log.dataset, self.account, sibling)
            kept = frozenset(log.read(sibling, names)["record_id"]) - moved
            redact_download_log(self.folder, self.account, log.dataset, sibling, ids=kept)
            self._fold_or_remove(archive, sibling)

    def _remove_records(self, table: Table, window: StorageWindow, ids: frozenset[str]) -> None:
        def is_kept(record: Any) -> bool:
            return not (isinstance(record, dict) and str(record.get("recordId")) in ids)

        for dataset in table.datasets:
            redact_responses(self.folder, self.account, dataset, window, is_kept=is_kept)
        self._fold_or_remove(table, window)

    def _clean_edge(self, first_kept: StorageWindow, holds: Sequence[Hold]) -> None:
        """Remove records of deleted windows from the responses of the first window that is kept."""
        for table, _ in TABLES_WITH_ARCHIVE:
            outdated = self._find_outdated(table, first_kept, holds)
            if outdated:
                self._remove_records(table, first_kept, outdated)

    def _find_outdated(self, table: Table, first_kept: StorageWindow, holds: Sequence[Hold]) -> frozenset[str]:
        log = RawLog(self.folder, self.account, table.datasets[0])
        latest: dict[str, Any] = {}
        for body in {answer.body for _, answer in log.read(first_kept, log.names(first_kept)) if answer.body}:
            frame = normalize_response(body, table).frame.dropna(subset=[table.started])
            for record_id, start in zip(frame["record_id"], frame[table.started], strict=True):
                latest[record_id] = max(start, latest.get(record_id, start))
        held = find_held(self.folder, table, self.account, first_kept, holds=holds)
        return frozenset(record_id for record_id, start in latest.items() if start < first_kept.start) - held

    def _delete_files(self, deletion: DeletionRecord) -> None:
        referenced = set(self._list_referenced_files())
        deletion.files_kept = [file["sha256"] for file in deletion.files if file["path"] in referenced]
        for file in deletion.files:
            if file["path"] not in referenced:
                self.folder.store.remove(file["path"])

    def _list_files_in_lake(self) -> Iterator[str]:
        """Yield the files that the lake rows of any account refer to."""
        for table in ARCHIVE_TABLES:
            for name in self.folder.store.list_names(f"lake/{table.name}"):
                account = name.removeprefix("account=")
                for window in self.folder.lake_windows(table.name, account):
                    rows = read_rows(self.folder, table, account, window)
                    if rows is not None:
                        yield from map(str, rows["path"].dropna())

    def _list_referenced_files(self) -> Iterator[str]:
        """Yield the files that any download log of any account refers to; the lake may be behind it."""
        for account in self.folder.accounts():
            for table in ARCHIVE_TABLES:
                log = DownloadLog(self.folder, account, table.datasets[0])
                for window in self.folder.raw_windows(log.dataset, account):
                    attempts = log.read(window, self.folder.raw_names(log.dataset, account, window))
                    yield from map(str, attempts["path"].dropna())


def _to_entries(listing: Sequence[str]) -> list[dict[str, Any]]:
    return [dict(zip(("dataset", "name"), entry.split("/", 1), strict=True)) for entry in listing]
