"""Paths of the data folder: keys of the store, and files that are always local.

    raw/<dataset>/account=<a>/window_start=<key>/<pulled_at>-<id>.parquet
    lake/<table>/account=<a>/window_start=<key>/part-0.parquet
    media/<first two of sha256>/<sha256>.<ext>
    holds.json
    evidence/chain.jsonl        one entry per line
    evidence/lists/<sequence>-<first of sha256>.jsonl
    people.json                 what the people files said last
    DEMO.txt                    in the demo's folder only
    retention/account=<a>/<began_at>-before-<key>.json
    warehouse.duckdb

A bucket has the same keys below its prefix, and the snapshot in another form (`snapshot.pointer`):

    snapshots/<published_at>-<id>.duckdb
    warehouse.json
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from warehouse.storage.atomic_files import Modes, create_folder
from warehouse.storage.base import Store, check_store
from warehouse.storage.local import LocalStore
from warehouse.storage.ownership import require_own, require_own_tree
from warehouse.storage.s3_config import Bucket
from warehouse.windows import StorageWindow, window_of_key

RAW_SUFFIX = ".parquet"
MEDIA = "media"
SNAPSHOTS = "snapshots"
POINTER = "warehouse.json"
HOLDS = "holds.json"
EVIDENCE = "evidence"
CHAIN = f"{EVIDENCE}/chain.jsonl"
VERIFIER = f"{EVIDENCE}/verify.py"
EVIDENCE_EVENTS = f"{EVIDENCE}/events"
PEOPLE = "people.json"
DEMO_MARK = "DEMO.txt"
_SNAPSHOT = ("warehouse.duckdb", "warehouse.duckdb.wal")
_REPORT = "report.html"
_INBOX = "inbox.sqlite"
# Files and folders that iplum writes in the data folder and in the state folder. It leaves others alone.
_DATA_FILES = ("raw", "lake", MEDIA, "retention", EVIDENCE, HOLDS, PEOPLE, DEMO_MARK, _REPORT, *_SNAPSHOT)
_STATE_FILES = ("locks", "keys", _INBOX, f"{_INBOX}-wal", f"{_INBOX}-shm")
# Names that iplum gives. Copies of a file manager and its own files, such as `.DS_Store`, `x (1)` and `x copy`, differ.
_FOLDER_NAME = re.compile(r"[A-Za-z0-9_=-]+")
_RAW_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.parquet")
_ACCOUNT = "account="
_WINDOW = "window_start="


def is_in_demo(path: Path) -> bool:
    """Whether a path is the demo's folder, or anywhere below it, also through symlinks."""
    real = Path(os.path.realpath(path))
    # Unlike `Path.is_file`, this leaves a missing permission to the first read or write, which names it.
    return any(os.path.isfile(place / DEMO_MARK) for place in (real, *real.parents))  # noqa: PTH113


@dataclass(frozen=True)
class DataFolder:
    """The folders of a warehouse: `root` for data, `state` for locks (always local).

    With a `bucket`, `root` holds this machine's copies and builds.
    """

    root: Path
    state: Path
    modes: Modes = field(default_factory=Modes)
    bucket: Bucket | None = None
    cached_store: Store | None = field(default=None, compare=False, repr=False)

    @classmethod
    def in_bucket(cls, bucket: Bucket, state: Path, modes: Modes) -> "DataFolder":
        """Return the folder of a warehouse whose data is in a bucket."""
        return cls(state / "s3" / bucket.name / bucket.prefix, state, modes, bucket)

    @cached_property
    def store(self) -> Store:
        """The store of raw log, lake and media."""
        if self.cached_store is not None:
            return self.cached_store
        if self.bucket is None:
            return LocalStore(self.root, self.modes)
        from warehouse.storage.s3 import open_s3_store

        return open_s3_store(self.bucket)

    def with_cached_listings(self, account: str | None = None) -> "DataFolder":
        """List the files of one account, or of all, and return a folder that uses these listings.

        Use this for many windows: otherwise each costs several S3 requests. Files written later are not seen.
        """
        if self.bucket is None:
            return self
        from warehouse.storage.listing_cache import cache_listings

        folders = ["raw", "lake"]
        if account is not None:
            names = [name for layer in folders for name in self._children(layer)]
            folders = [f"{name}/{_ACCOUNT}{account}" for name in names]
        return replace(self, cached_store=cache_listings(self.bucket, folders))

    def check(self) -> None:
        """Check that files can be written and read back; raises `StorageFailed`."""
        self.require_own()
        check_store(self.store)

    def require_own(self) -> None:
        """Raise `FolderRefused` if a folder or lock is a symlink or belongs to another user."""
        for path in (self.root, self.state, self.locks, *self.locks.glob("*")):
            require_own(path)

    def require_own_files(self) -> None:
        """Raise `FolderRefused` if a folder, or any file that iplum writes, is a symlink or belongs to another user."""
        require_own_tree(self.root, _DATA_FILES)
        require_own_tree(self.state, _STATE_FILES)

    def require_readable(self, *names: str) -> None:
        """Check the snapshot, the holds, and the files and folders `names`, for a command that only reads.

        A member of the group of the files may read those of another user. Raises `FolderRefused`.
        """
        require_own_tree(self.root, (HOLDS, *_SNAPSHOT, *names), readers=self.modes.group)

    def create_locks_folder(self) -> None:
        """Create the folder of the locks, as each writer does first; raises `StorageFailed`, as `require_own` too."""
        self.require_own()
        create_folder(self.locks, self.modes)

    @property
    def address(self) -> str:
        """The place of the data as users write it."""
        return str(self.root) if self.bucket is None else self.bucket.address

    @property
    def is_of_demo(self) -> bool:
        """Whether the data or the state is in a folder that is marked as generated by the demo."""
        return is_in_demo(self.root) or is_in_demo(self.state)

    @property
    def published(self) -> str:
        """The place of the published snapshot as users write it: a file, or the pointer to one."""
        return str(self.snapshot) if self.bucket is None else self.store.locate(POINTER)

    @property
    def snapshot(self) -> Path:
        """The published database, replaced only by rename; with a bucket, a local copy of it."""
        return self.root / _SNAPSHOT[0]

    @property
    def incoming(self) -> Path:
        """The folder for unverified downloads, on the filesystem of the data."""
        return self.root / MEDIA

    def media_file(self, sha256: str, ending: str) -> str:
        """Return the key of a media file."""
        return f"{MEDIA}/{sha256[:2]}/{sha256}.{ending}"

    @property
    def locks(self) -> Path:
        """The folder of the locks, and of the files in which processes share the rate limit."""
        return self.state / "locks"

    @property
    def publish_lock(self) -> Path:
        """The lock on which publishers wait."""
        return self.locks / "publish.lock"

    @property
    def seal_key(self) -> Path:
        """The private key that signs the evidence chain, unless another file is set."""
        return self.state / "keys" / "seal.pem"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.root / _REPORT

    @property
    def inbox(self) -> Path:
        """The SQLite inbox of callbacks, used unless a database server is set."""
        return self.state / _INBOX

    def limiter_file(self, account: str) -> Path:
        """Return the file in which the processes of this machine share the rate limit."""
        return self.locks / f"requests-{account}"

    @property
    def holds_lock(self) -> Path:
        """The lock for changes of legal holds."""
        return self.locks / "holds.lock"

    def retention_folder(self, account: str) -> str:
        """Return the folder of an account's deletion records."""
        return f"retention/{_ACCOUNT}{account}"

    def raw_folder(self, dataset: str, account: str, window: StorageWindow) -> str:
        """Return the folder of a window's raw files."""
        return self._window_folder("raw", dataset, account, window)

    def lake_file(self, table: str, account: str, window: StorageWindow) -> str:
        """Return the key of a window's lake file."""
        return f"{self._window_folder('lake', table, account, window)}/part-0.parquet"

    def links_file(self, table: str, account: str) -> str:
        """Return the key of a table's links: its records that have versions in several windows."""
        return f"lake/{table}/{_ACCOUNT}{account}/links.json"

    def raw_names(self, dataset: str, account: str, window: StorageWindow) -> list[str]:
        """List the names of a window's raw files, oldest pull first."""
        names = self.store.list_names(self.raw_folder(dataset, account, window))
        return [name for name in names if _RAW_NAME.fullmatch(name)]

    def raw_files(self, dataset: str, account: str, window: StorageWindow) -> list[str]:
        """List the keys of a window's raw files, oldest pull first."""
        folder = self.raw_folder(dataset, account, window)
        return [f"{folder}/{name}" for name in self.raw_names(dataset, account, window)]

    def raw_windows(self, dataset: str, account: str) -> list[StorageWindow]:
        """List the windows with a raw folder, oldest first."""
        return list(self._windows_in(f"raw/{dataset}/{_ACCOUNT}{account}"))

    def lake_windows(self, table: str, account: str) -> list[StorageWindow]:
        """List the windows with a lake file, oldest first."""
        windows = self._windows_in(f"lake/{table}/{_ACCOUNT}{account}")
        return [window for window in windows if self.store.exists(self.lake_file(table, account, window))]

    def window_folders(self) -> Iterator[str]:
        """Yield all folders with raw or lake files, or with links."""
        for layer in ("raw", "lake"):
            for name in self._children(layer):
                for account in self._children(name):
                    yield account
                    yield from self._children(account)

    def accounts(self) -> list[str]:
        """List the accounts in the raw log, by name."""
        names = {
            account.removeprefix(_ACCOUNT)
            for dataset in self._children("raw")
            for account in self.store.list_names(dataset)
            if account.startswith(_ACCOUNT) and _FOLDER_NAME.fullmatch(account)
        }
        return sorted(names)

    def _window_folder(self, layer: str, name: str, account: str, window: StorageWindow) -> str:
        return f"{layer}/{name}/{_ACCOUNT}{account}/{_WINDOW}{window.key}"

    def _windows_in(self, folder: str) -> Iterator[StorageWindow]:
        for name in self.store.list_names(folder):
            if name.startswith(_WINDOW):
                with suppress(ValueError):  # a copied folder
                    yield window_of_key(name.removeprefix(_WINDOW))

    def _children(self, folder: str) -> list[str]:
        return [f"{folder}/{name}" for name in self.store.list_names(folder) if _FOLDER_NAME.fullmatch(name)]
