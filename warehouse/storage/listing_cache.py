"""A bucket as it was at one moment: listed once, then asked as often as one likes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from warehouse.storage.base import Result
from warehouse.storage.s3 import S3Store
from warehouse.storage.s3_config import Bucket

# What was made of a file, with the version of the file that it was made of; for as long as this process lives.
_REMEMBERED: dict[str, tuple[str, Any]] = {}


@dataclass(frozen=True)
class CachedListingStore(S3Store):
    """An object store of which `folders` were listed: `versions` has their files, `names` what is in each folder.

    Make one with `survey`. What is outside of those folders is asked of the bucket.
    """

    folders: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict, repr=False)
    names: Mapping[str, set[str]] = field(default_factory=dict, repr=False)

    def list_names(self, folder: str) -> list[str]:
        """Look it up."""
        return sorted(self.names.get(folder, ())) if self._is_surveyed(folder) else super().list_names(folder)

    def read_version(self, key: str) -> str | None:
        """Look it up."""
        return self.versions.get(key) if self._is_surveyed(key) else super().read_version(key)

    def open_parquet(self, key: str) -> BinaryIO:
        """Ask for nothing that isn't there."""
        if self._is_surveyed(key) and key not in self.versions:
            raise FileNotFoundError(self.locate(key))
        return super().open_parquet(key)

    def recall(self, key: str, load: Callable[[], Result]) -> Result:
        """Read a file that has not changed since only once."""
        version = self.versions.get(key)
        if version is None:
            return load()
        known: tuple[str, Result] | None = _REMEMBERED.get(self.locate(key))
        if known is None or known[0] != version:
            known = version, load()
            _REMEMBERED[self.locate(key)] = known
        return known[1]

    def _is_surveyed(self, key: str) -> bool:
        return any(key == folder or key.startswith(f"{folder}/") for folder in self.folders)


def survey(bucket: Bucket, folders: Iterable[str]) -> CachedListingStore:
    """List some folders of a bucket with all that is below them: a request for each thousand files."""
    folders = tuple(folders)
    store = S3Store(bucket)
    versions: dict[str, str] = {}
    names: dict[str, set[str]] = {}
    for listed in store.map(lambda folder: list(store.list_versions(folder)), folders):
        for key, version in listed:
            versions[key] = version
            while "/" in key:
                key, _, name = key.rpartition("/")
                names.setdefault(key, set()).add(name)
    return CachedListingStore(bucket, folders, versions, names)
