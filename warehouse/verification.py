"""Proving what is kept: bodies and files against their rows, the lake against raw, the snapshot against both.

Belongs here: finding differences. Does not belong here: mending them, and asking the API.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import pandas as pd

from warehouse.healing import find_unfolded, list_raw_windows
from warehouse.lake import read_rows
from warehouse.layout import DataFolder
from warehouse.marts import MartSettings
from warehouse.media import MediaStore
from warehouse.publish import is_behind
from warehouse.schemas import ARCHIVE_TABLES, LAKE_TABLES, Table
from warehouse.watch import Watch, watch_nothing
from warehouse.windows import StorageWindow


@dataclass(frozen=True)
class Difference:
    """Something that is not what it should be: what, where, and what to do about it."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}"


_RESTORE = "restore it from a backup"
_PUBLISH = "run 'iplum publish'"


@dataclass(frozen=True, kw_only=True)
class Verification:
    """A look at everything that is kept, or at the windows that overlap `since` up to `until` (aware UTC).

    Nothing is changed. `on_file` hears of each file that was hashed, with its size; `watch` of the
    windows whose bodies and files were.
    """

    folder: DataFolder
    settings: MartSettings = field(default_factory=MartSettings)
    since: datetime | None = None
    until: datetime | None = None
    on_file: Callable[[int], None] = lambda _size: None
    watch: Watch = watch_nothing

    def find_differences(self) -> Iterator[Difference]:
        """Give each difference; files without a row are looked for only without bounds. Raises `StorageFailed`."""
        referred: set[str] = set()
        kept = [(table, *key) for table in ARCHIVE_TABLES for key in self._list_windows(table)]
        for done, (table, account, window) in enumerate(kept, start=1):
            rows = read_rows(self.folder, table, account, window)
            if rows is not None:
                where = f"{table.name} {account} {window}"
                verified = rows[rows["status"] == "verified"]
                yield from self._verify_bodies(verified, where)
                yield from self._verify_files(verified, where, referred)
            self.watch(done, len(kept))
        if self.since is None and self.until is None:
            yield from self._find_unreferred(referred)
        yield from self._verify_folds()

    def _list_windows(self, table: Table) -> Iterator[tuple[str, StorageWindow]]:
        for account, window in list_raw_windows(self.folder, table):
            if (self.since is None or window.end > self.since) and (
                self.until is None or window.start < self.until
            ):
                yield account, window

    def _verify_bodies(self, verified: pd.DataFrame, where: str) -> Iterator[Difference]:
        if "body" not in verified:
            return
        bodies = verified[verified["body"].notna()]
        for body, digest in zip(bodies["body"], bodies["sha256"], strict=True):
            if hashlib.sha256(str(body).encode()).hexdigest() != digest:
                yield Difference(f"a body in {where} is not what its hash says", _RESTORE)

    def _verify_files(self, verified: pd.DataFrame, where: str, referred: set[str]) -> Iterator[Difference]:
        store = MediaStore(self.folder)
        files = verified[verified["path"].notna()].drop_duplicates("path")
        files = files[~files["path"].isin(referred)]
        referred |= set(map(str, files["path"]))
        named = list(zip(map(str, files["path"]), map(str, files["sha256"]), strict=True))
        for (path, _), is_whole, size in zip(
            named, self.folder.store.map(lambda one: store.check(*one), named), files["bytes"], strict=True
        ):
            if not is_whole:
                what = "damaged" if self.folder.store.has(path) else "missing"
                yield Difference(f"{path} is {what} ({where})", _RESTORE)
            self.on_file(int(size))

    def _find_unreferred(self, referred: set[str]) -> Iterator[Difference]:
        for name in sorted(MediaStore(self.folder).list_files()):
            if name not in referred:
                yield Difference(
                    f"{name} has no row", "a killed run left it; the next 'iplum archive' takes it up"
                )

    def _verify_folds(self) -> Iterator[Difference]:
        seen = self.folder.survey()
        for table in LAKE_TABLES:
            unfolded = set(find_unfolded(seen, table))
            for account, window in self._list_windows(table):
                if (account, window) in unfolded:
                    what = f"the lake file of {table.name} {account} {window} is behind its raw log"
                    yield Difference(what, _PUBLISH)
        if is_behind(self.folder, self.settings):
            yield Difference("warehouse.duckdb is behind the lake", _PUBLISH)
