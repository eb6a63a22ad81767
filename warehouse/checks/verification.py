"""Verification: bodies and files against their hashes, lake against raw log, snapshot against lake."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import duckdb
import pandas as pd

from warehouse.archive.backlog import LostFiles, is_lost
from warehouse.archive.download_log import compute_lake_rows
from warehouse.archive.media_store import MediaStore
from warehouse.checks.data_problems import find_problems
from warehouse.checks.snapshot_verification import count_differing_rows, find_snapshot_mismatches
from warehouse.errors import RawDamaged, SnapshotUnreadable, WarehouseError
from warehouse.lake.files import read_rows, read_table
from warehouse.lake.fold import count_nulled
from warehouse.progress import ProgressCallback, ignore_progress
from warehouse.raw.deletion_log import find_first_kept_window, load_deletion_records
from warehouse.retention.legal_holds import read_holds
from warehouse.retention.redaction import find_held
from warehouse.schema.tables import ARCHIVE_TABLES, FOLDED_TABLES, LAKE_TABLES, TABLES_WITH_ARCHIVE, Table
from warehouse.snapshot.database import read_snapshot
from warehouse.snapshot.marts import MartSettings
from warehouse.snapshot.publish import is_stale
from warehouse.snapshot.repair import find_stale_windows, list_raw_windows
from warehouse.storage.atomic_files import scratch_folder
from warehouse.storage.paths import DataFolder
from warehouse.windows import StorageWindow


@dataclass(frozen=True)
class Mismatch:
    """Something that differs from what it should be: what, and how to fix it."""

    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.what}. {self.fix}."


_RESTORE = "Restore it from a backup"
_FETCH = "Run 'iplum archive', which downloads it again if iPlum still has it; else restore it from a backup"
_PUBLISH = "Run 'iplum publish'"
_REBUILD = "Run 'iplum publish --full'"
_DELETE = "Run 'iplum retention' again"


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The verification of everything, or of the windows that overlap `since` up to `until` (aware UTC).

    Changes nothing. `on_file` receives the size of each hashed file, `on_loss` the records of a window with newly
    missing or damaged files, `on_progress` the windows whose bodies and files were hashed.
    """

    folder: DataFolder
    settings: MartSettings = field(default_factory=MartSettings)
    since: datetime | None = None
    until: datetime | None = None
    on_file: Callable[[int], None] = lambda _size: None
    on_loss: Callable[[LostFiles], None] = lambda _loss: None
    on_progress: ProgressCallback = ignore_progress

    def find_mismatches(self) -> Iterator[Mismatch]:
        """Yield each mismatch; files without a row are found only without bounds.

        Raises `StorageFailed` and `SnapshotUnreadable`.
        """
        problems: dict[str, str] = {}
        keys = [(table, *key) for table in ARCHIVE_TABLES for key in self._list_windows(table)]
        for done, (table, account, window) in enumerate(keys, start=1):
            rows = read_rows(self.folder, table, account, window)
            if rows is not None:
                where = f"{table.name} {account} {window}"
                yield from self._verify_bodies(rows[rows["status"] == "verified"], where)
                yield from self._verify_files(rows[rows["path"].notna()], where, problems)
                self._report_lost_files(rows, table, account, window, problems=problems)
            self.on_progress(done, len(keys))
        if self.since is None and self.until is None:
            yield from self._find_unreferenced(problems.keys())
        yield from self._verify_folds()
        for account in self.folder.accounts():
            yield from self._verify_deletions(account)
        try:
            problems_of_records = list(find_problems(self.folder, since=self.since, until=self.until))
        except SnapshotUnreadable as error:
            yield Mismatch(f"{error.failed}: {error.cause}", error.fix)
            return
        for problem in problems_of_records:
            if problem.is_damage:
                yield Mismatch(str(problem), "The raw log has every record as iPlum sent it; ask iPlum about them")

    def find_notes(self) -> Iterator[str]:
        """Yield notes, which are not mismatches: conflicting payloads, impossible times, values set to null."""
        for problem in find_problems(self.folder, since=self.since, until=self.until):
            if not problem.is_damage:
                yield str(problem)
        for table in FOLDED_TABLES:
            nulled: dict[str, int] = {}
            for account, window in self._list_windows(table):
                with suppress(RawDamaged):  # a mismatch, which names the file
                    nulled[account] = nulled.get(account, 0) + count_nulled(self.folder, table, account, window)
            for account, rows in nulled.items():
                if rows:
                    yield (
                        f"{table.name} of account {account}: {rows:,} rows keep a value that iPlum has since removed "
                        "from the record"
                    )

    def _list_windows(self, table: Table) -> Iterator[tuple[str, StorageWindow]]:
        for account, window in list_raw_windows(self.folder, table):
            if (self.since is None or window.end > self.since) and (self.until is None or window.start < self.until):
                yield account, window

    def _verify_bodies(self, verified: pd.DataFrame, where: str) -> Iterator[Mismatch]:
        if "body" not in verified:
            return
        bodies = verified[verified["body"].notna()]
        for body, digest in zip(bodies["body"], bodies["sha256"], strict=True):
            if hashlib.sha256(str(body).encode()).hexdigest() != digest:
                yield Mismatch(f"the hash of a body in {where} is wrong", _RESTORE)

    def _verify_files(self, rows: pd.DataFrame, where: str, problems: dict[str, str]) -> Iterator[Mismatch]:
        files = rows[~rows["path"].isin(problems.keys())].drop_duplicates("path")
        named = list(zip(map(str, files["path"]), map(str, files["sha256"]), strict=True))
        judged = self.folder.store.map(lambda one: self._check_file(*one), named)
        for (path, _), problem, size in zip(named, judged, files["bytes"], strict=True):
            problems[path] = problem
            if problem:
                yield Mismatch(f"{path} is {problem} ({where})", _FETCH)
            self.on_file(int(size))
        for path in rows[is_lost(rows)]["path"].drop_duplicates():
            if not problems[path]:
                yield Mismatch(f"{path} exists again, but its row is marked as lost ({where})", "Run 'iplum archive'")

    def _check_file(self, path: str, digest: str) -> str:
        """Return "damaged" or "missing", or an empty string for an intact file."""
        if MediaStore(self.folder).check(path, digest):
            return ""
        return "damaged" if self.folder.store.exists(path) else "missing"

    def _report_lost_files(
        self, rows: pd.DataFrame, table: Table, account: str, window: StorageWindow, *, problems: Mapping[str, str]
    ) -> None:
        verified = rows[rows["path"].notna() & (rows["status"] == "verified")]
        for path, of_path in verified.groupby("path"):
            if problems[str(path)]:
                reason = f"its file was found {problems[str(path)]}"
                self.on_loss(LostFiles(table, account, window, tuple(map(str, of_path["record_id"])), reason))

    def _find_unreferenced(self, referenced: Collection[str]) -> Iterator[Mismatch]:
        for name in sorted(MediaStore(self.folder).list_files()):
            if name not in referenced:
                yield Mismatch(f"{name} has no row", "A killed run left it; the next 'iplum archive' adds it")

    def _verify_folds(self) -> Iterator[Mismatch]:
        listed = self.folder.with_cached_listings()
        is_damaged = False
        for table in LAKE_TABLES:
            stale = set(find_stale_windows(listed, table))
            for account, window in self._list_windows(table):
                if (account, window) in stale:
                    what = f"the lake file of {table.name} {account} {window} is behind its raw log"
                    yield Mismatch(what, _PUBLISH)
                    continue
                try:
                    yield from self._verify_rows(table, account, window)
                except RawDamaged as error:
                    is_damaged = True
                    yield Mismatch(f"{error.failed}: {error.cause}", error.fix)
        if is_stale(self.folder, self.settings):
            yield Mismatch("warehouse.duckdb is behind the lake", _PUBLISH)
        elif self.folder.snapshot.is_file() and not is_damaged:
            yield from self._verify_snapshot()

    def _verify_deletions(self, account: str) -> Iterator[Mismatch]:
        """Find rows of deleted windows that no hold covers, and deletions that are not finished."""
        try:
            holds = read_holds(self.folder, account)
            unfinished = [one for one in load_deletion_records(self.folder, account) if one.finished_at is None]
        except WarehouseError as error:
            yield Mismatch(f"{error.failed}: {error.cause}", error.fix)
            return
        for deletion in unfinished:
            yield Mismatch(f"the deletion before {deletion.before} of account {account} is not finished", _DELETE)
        first_kept = find_first_kept_window(self.folder, account)
        if first_kept is None or any(hold.covers_account for hold in holds):
            return
        for source, archive in TABLES_WITH_ARCHIVE:
            for table in (source, archive):
                for window in self.folder.lake_windows(table.name, account):
                    rows = read_rows(self.folder, table, account, window)
                    if window < first_kept and rows is not None:
                        held = find_held(self.folder, source, account, window, holds=holds)
                        left = int((~rows["record_id"].isin(held)).sum())
                        if left:
                            yield Mismatch(
                                f"{left:,} rows of {table.name} {account} {window} were to be deleted", _DELETE
                            )

    def _verify_rows(self, table: Table, account: str, window: StorageWindow) -> Iterator[Mismatch]:
        """Compare a window's lake file with its rows computed again from raw; raises `RawDamaged`."""
        expected = compute_lake_rows(self.folder, table, account, window)
        written = read_table(self.folder, table, account, window)
        if written is None or not written.equals(expected):
            lake_file = self.folder.lake_file(table.name, account, window)
            yield Mismatch(f"{lake_file} differs from its raw log", "Remove it and run 'iplum publish'")

    def _verify_snapshot(self) -> Iterator[Mismatch]:
        """Compare the snapshot with one built again, or within bounds the rows of their windows with the lake."""
        store, is_remote = self.folder.store, self.folder.bucket is not None
        if self.since is None and self.until is None:
            with scratch_folder(self.folder.state, self.folder.modes) as scratch:
                try:
                    for difference in find_snapshot_mismatches(self.folder, self.settings, scratch):
                        yield Mismatch(f"warehouse.duckdb: {difference}", _REBUILD)
                except duckdb.Error as error:
                    what = f"warehouse.duckdb cannot be compared with the lake ({type(error).__name__})"
                    yield Mismatch(what, _REBUILD)
            return
        with (
            scratch_folder(self.folder.state, self.folder.modes) as scratch,
            read_snapshot(self.folder.snapshot, reads=scratch if is_remote else self.folder.root) as connection,
        ):
            for table in LAKE_TABLES:
                for account, window in self._list_windows(table):
                    files = store.copy_to_local([self.folder.lake_file(table.name, account, window)], scratch)
                    unlike = count_differing_rows(connection, table, account, window, files=files)
                    if unlike:
                        what = f"{unlike:,} rows of {table.name} {account} {window} differ from the lake"
                        yield Mismatch(f"warehouse.duckdb: {what}", _REBUILD)
