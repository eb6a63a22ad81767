"""An S3 store with cached listings: one listing answers many lookups."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from warehouse.storage.base import Result
from warehouse.storage.s3 import S3Store, open_s3_store
from warehouse.storage.s3_config import Bucket


@dataclass(frozen=True)
class CachedListingStore(S3Store):
    """An S3 store whose `folders` were listed once.

    `versions` has the ETags of their files, `names` the names in each folder. Build one with `cache_listings`.
    Files outside these folders are looked up in the bucket.
    """

    folders: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict, repr=False)
    names: Mapping[str, set[str]] = field(default_factory=dict, repr=False)

    def list_names(self, folder: str) -> list[str]:
        """List from the cache."""
        return sorted(self.names.get(folder, ())) if self._is_listed(folder) else super().list_names(folder)

    def read_version(self, key: str) -> str | None:
        """Return the ETag from the cache."""
        return self.versions.get(key) if self._is_listed(key) else super().read_version(key)

    def open_parquet(self, key: str) -> BinaryIO:
        """Open the file, without a request if it does not exist."""
        if self._is_listed(key) and key not in self.versions:
            raise FileNotFoundError(self.locate(key))
        return super().open_parquet(key)

    def load_cached(self, key: str, load: Callable[[], Result]) -> Result:
        """Return the cached result unless the file has changed."""
        version = self.versions.get(key)
        if version is None:
            return load()
        known: tuple[str, Result] | None = self.loaded.get(key)
        if known is None or known[0] != version:
            known = version, load()
            self.loaded[key] = known
        return known[1]

    def _is_listed(self, key: str) -> bool:
        return any(key == folder or key.startswith(f"{folder}/") for folder in self.folders)


def cache_listings(bucket: Bucket, folders: Iterable[str]) -> CachedListingStore:
    """List all files below some folders of a bucket: one request per thousand files."""
    folders = tuple(folders)
    store = open_s3_store(bucket)
    versions: dict[str, str] = {}
    names: dict[str, set[str]] = {}
    for listed in store.map(lambda folder: list(store.list_versions(folder)), folders):
        for key, version in listed:
            versions[key] = version
            while "/" in key:
                key, _, name = key.rpartition("/")
                names.setdefault(key, set()).add(name)
    return CachedListingStore(bucket, store.loaded, folders, versions, names)
