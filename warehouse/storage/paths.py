"""Every path of the data folder, in one place: keys of the store, and what always stands on this machine.

    raw/<dataset>/account=<a>/window_start=<key>/<pulled_at>-<id>.parquet
    lake/<table>/account=<a>/window_start=<key>/part-0.parquet
    media/<first two of sha256>/<sha256>.<ext>
    holds.json
    retention/account=<a>/<began_at>-before-<key>.json
    warehouse.duckdb

In a bucket the same keys stand below its prefix, with another form of the snapshot (`pointer`):

    snapshots/<published_at>-<id>.duckdb
    warehouse.json
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from warehouse.storage.atomic_files import Modes
from warehouse.storage.base import Store, prove
from warehouse.storage.local import LocalStore
from warehouse.storage.s3_config import Bucket
from warehouse.windows import StorageWindow, window_of_key

RAW_SUFFIX = ".parquet"
MEDIA = "media"
SNAPSHOTS = "snapshots"
POINTER = "warehouse.json"
#: Whose records are kept whatever is deleted.
HOLDS = "holds.json"
_ACCOUNT = "account="
_WINDOW = "window_start="


@dataclass(frozen=True)
class DataFolder:
    """Where a warehouse keeps its files: `root` for the data, `state` for locks (always a local folder).

    Where a `bucket` has the data, `root` is the folder for what this machine reads and builds of them.
    """

    root: Path
    state: Path
    modes: Modes = field(default_factory=Modes)
    bucket: Bucket | None = None
    seen: Store | None = field(default=None, compare=False, repr=False)

    @classmethod
    def in_bucket(cls, bucket: Bucket, state: Path, modes: Modes) -> DataFolder:
        """Say where a warehouse stands whose data are in a bucket."""
        return cls(state / "s3" / bucket.name / bucket.prefix, state, modes, bucket)

    @cached_property
    def store(self) -> Store:
        """Where raw, lake and media are kept."""
        if self.seen is not None:
            return self.seen
        if self.bucket is None:
            return LocalStore(self.root, self.modes)
        from warehouse.storage.s3 import S3Store

        return S3Store(self.bucket)

    def survey(self, account: str | None = None) -> DataFolder:
        """Look once at what is there, of one account or of all; gives a folder that answers from that.

        For looking at many windows: in a bucket each would cost some requests. What comes later it doesn't see.
        """
        if self.bucket is None:
            return self
        from warehouse.storage.listing_cache import survey

        folders = ["raw", "lake"]
        if account is not None:
            names = [name for layer in folders for name in self._children(layer)]
            folders = [f"{name}/{_ACCOUNT}{account}" for name in names]
        return replace(self, seen=survey(self.bucket, folders))

    def check(self) -> None:
        """Prove that the place of the data takes files and gives them back; raises `StorageFailed`."""
        prove(self.store)

    @property
    def address(self) -> str:
        """The place of the data, as the user names it."""
        return str(self.root) if self.bucket is None else self.bucket.address

    @property
    def published(self) -> str:
        """Where readers find what is published, as the user names it: a file, or the pointer to one."""
        return str(self.snapshot) if self.bucket is None else self.store.locate(POINTER)

    @property
    def snapshot(self) -> Path:
        """The published database; only ever replaced by rename. Where a bucket has the data, a copy of it."""
        return self.root / "warehouse.duckdb"

    @property
    def incoming(self) -> Path:
        """Where a file is received that is not proven yet; on the filesystem of the data."""
        return self.root / MEDIA

    def media_file(self, sha256: str, ending: str) -> str:
        """Name the file that has this hash."""
        return f"{MEDIA}/{sha256[:2]}/{sha256}.{ending}"

    @property
    def publish_lock(self) -> Path:
        """The lock on which publishers queue."""
        return self.state / "locks" / "publish.lock"

    @property
    def report(self) -> Path:
        """The page about what is published."""
        return self.root / "report.html"

    @property
    def inbox(self) -> Path:
        """Where pushed events wait, unless a database server keeps them."""
        return self.state / "inbox.sqlite"

    def limiter_file(self, account: str) -> Path:
        """What processes of this machine share to keep one ceiling of requests per second."""
        return self.state / "locks" / f"requests-{account}"

    @property
    def holds_lock(self) -> Path:
        """The lock under which holds are changed."""
        return self.state / "locks" / "holds.lock"

    def retention_folder(self, account: str) -> str:
        """Where it is written down what was deleted of an account."""
        return f"retention/{_ACCOUNT}{account}"

    def raw_folder(self, dataset: str, account: str, window: StorageWindow) -> str:
        """Where the answers of one window are appended."""
        return self._window_folder("raw", dataset, account, window)

    def lake_file(self, table: str, account: str, window: StorageWindow) -> str:
        """The one file with a table's rows of one window."""
        return f"{self._window_folder('lake', table, account, window)}/part-0.parquet"

    def raw_names(self, dataset: str, account: str, window: StorageWindow) -> list[str]:
        """List the names of a window's raw files, oldest pull first; empty where none is yet."""
        names = self.store.list_names(self.raw_folder(dataset, account, window))
        return [name for name in names if name.endswith(RAW_SUFFIX) and not name.startswith(".")]

    def raw_files(self, dataset: str, account: str, window: StorageWindow) -> list[str]:
        """List a window's raw files, oldest pull first; empty where none is yet."""
        folder = self.raw_folder(dataset, account, window)
        return [f"{folder}/{name}" for name in self.raw_names(dataset, account, window)]

    def raw_windows(self, dataset: str, account: str) -> list[StorageWindow]:
        """List the windows that have a raw folder, oldest first."""
        return list(self._windows_in(f"raw/{dataset}/{_ACCOUNT}{account}"))

    def lake_windows(self, table: str, account: str) -> list[StorageWindow]:
        """List the windows that have a lake file, oldest first."""
        windows = self._windows_in(f"lake/{table}/{_ACCOUNT}{account}")
        return [window for window in windows if self.store.has(self.lake_file(table, account, window))]

    def window_folders(self) -> Iterator[str]:
        """Go through all folders that hold raw or lake files."""
        for layer in ("raw", "lake"):
            for name in self._children(layer):
                for account in self._children(name):
                    yield from self._children(account)

    def accounts(self) -> list[str]:
        """List the accounts that have anything in the raw log, by name."""
        names = {
            account.removeprefix(_ACCOUNT)
            for dataset in self._children("raw")
            for account in self.store.list_names(dataset)
            if account.startswith(_ACCOUNT)
        }
        return sorted(names)

    def _window_folder(self, layer: str, name: str, account: str, window: StorageWindow) -> str:
        return f"{layer}/{name}/{_ACCOUNT}{account}/{_WINDOW}{window.key}"

    def _windows_in(self, folder: str) -> Iterator[StorageWindow]:
        for name in self.store.list_names(folder):
            if name.startswith(_WINDOW):
                yield window_of_key(name.removeprefix(_WINDOW))

    def _children(self, folder: str) -> list[str]:
        return [f"{folder}/{name}" for name in self.store.list_names(folder)]
