"""A folder of this machine as the place of the data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from warehouse.errors import StorageFailed
from warehouse.storage.atomic_files import (
    Modes,
    make_folder,
    put_in_place,
    remove_abandoned,
    remove_file,
    write_file,
)
from warehouse.storage.base import Item, Result

_PIECE = 1 << 20


@dataclass(frozen=True)
class LocalStore:
    """Keep files below `root`; what each method does is said in `Store`."""

    root: Path
    modes: Modes

    def locate(self, key: str) -> str:
        """Give the file's path."""
        return str(self.root / key)

    def list_names(self, folder: str) -> list[str]:
        """List a folder."""
        try:
            return sorted(os.listdir(self.root / folder))  # noqa: PTH208 twice as fast as iterdir
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageFailed.during("list the folder", self.root / folder, error) from error

    def list_below(self, folder: str) -> Iterator[str]:
        """Go through a folder and those in it; what is being written is left out."""
        for parent, _, names in os.walk(self.root / folder):
            above = Path(parent).relative_to(self.root).as_posix()
            yield from (f"{above}/{name}" for name in sorted(names) if not name.startswith("."))

    def has(self, key: str) -> bool:
        """Look for the file."""
        return (self.root / key).is_file()

    def read_version(self, key: str) -> str | None:
        """Read when the file was written."""
        try:
            return str((self.root / key).stat().st_mtime_ns)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageFailed.during("read", self.root / key, error) from error

    def open_parquet(self, key: str) -> str:
        """Give the path, which pyarrow reads by itself."""
        return str(self.root / key)

    def recall(self, key: str, load: Callable[[], Result]) -> Result:  # noqa: ARG002
        """Read the file: it is near."""
        return load()

    def read_pieces(self, key: str) -> Iterator[bytes]:
        """Read the file in pieces of one megabyte."""
        try:
            with (self.root / key).open("rb") as file:
                while piece := file.read(_PIECE):
                    yield piece
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageFailed.during("read", self.root / key, error) from error

    def write(self, key: str, content: bytes | memoryview) -> None:
        """Write beside, sync, rename."""
        write_file(self.root / key, content, self.modes)

    def take_in(self, path: Path, key: str) -> None:
        """Rename, which wants `path` on the same filesystem."""
        make_folder((self.root / key).parent, self.modes)
        try:
            put_in_place(path, self.root / key, self.modes)
        except OSError as error:
            raise StorageFailed.during("write", self.root / key, error) from error

    def remove(self, key: str) -> None:
        """Unlink it; durable when this returns."""
        remove_file(self.root / key)

    def remove_folder(self, folder: str) -> None:
        """Unlink it; one in which something is being written stays."""
        with suppress(OSError):
            (self.root / folder).rmdir()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Go one by one: threads would wait for each other."""
        return [function(item) for item in items]

    def bring_near(self, keys: Sequence[str], folder: Path, columns: Sequence[str] | None = None) -> list[Path]:  # noqa: ARG002
        """Give the paths: they are near."""
        return [self.root / key for key in keys]

    def remove_abandoned(self, folders: Iterable[str]) -> None:
        """Look for temporary names."""
        for folder in folders:
            remove_abandoned(self.root / folder)
