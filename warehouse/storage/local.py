"""Storage in a local folder."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from warehouse.errors import StorageFailed
from warehouse.storage.atomic_files import Modes, create_folder, remove_abandoned, remove_file, replace_file, write_file
from warehouse.storage.base import Item, Result

_CHUNK = 1 << 20


@dataclass(frozen=True)
class LocalStore:
    """Files below `root`; see `Store`."""

    root: Path
    modes: Modes

    def locate(self, key: str) -> str:
        """Return the file's path."""
        return str(self.root / key)

    def list_names(self, folder: str) -> list[str]:
        """List a folder."""
        try:
            return sorted(os.listdir(self.root / folder))  # noqa: PTH208 twice as fast as iterdir
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageFailed.during("list the folder", self.root / folder, error) from error

    def list_keys(self, folder: str) -> Iterator[str]:
        """Walk a folder, without temporary files."""
        for parent, _, names in os.walk(self.root / folder):
            above = Path(parent).relative_to(self.root).as_posix()
            yield from (f"{above}/{name}" for name in sorted(names) if not name.startswith("."))

    def exists(self, key: str) -> bool:
        """Whether the file exists."""
        return (self.root / key).is_file()

    def read_version(self, key: str) -> str | None:
        """Return the modification time."""
        try:
            return str((self.root / key).stat().st_mtime_ns)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageFailed.during("read", self.root / key, error) from error

    def open_parquet(self, key: str) -> str:
        """Return the path."""
        return str(self.root / key)

    def load_cached(self, key: str, load: Callable[[], Result]) -> Result:  # noqa: ARG002
        """Call `load`: local reads are cheap."""
        return load()

    def read_chunks(self, key: str) -> Iterator[bytes]:
        """Read the file in chunks of one megabyte."""
        try:
            with (self.root / key).open("rb") as file:
                while piece := file.read(_CHUNK):
                    yield piece
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageFailed.during("read", self.root / key, error) from error

    def write(self, key: str, content: bytes | memoryview) -> None:
        """Write the file atomically."""
        write_file(self.root / key, content, self.modes)

    def move_in(self, path: Path, key: str) -> None:
        """Rename the file, which must be on the same filesystem."""
        create_folder((self.root / key).parent, self.modes)
        try:
            replace_file(path, self.root / key, self.modes)
        except OSError as error:
            raise StorageFailed.during("write", self.root / key, error) from error

    def remove(self, key: str) -> None:
        """Unlink the file."""
        remove_file(self.root / key)

    def remove_folder(self, folder: str) -> None:
        """Remove the folder if it is empty."""
        with suppress(OSError):
            (self.root / folder).rmdir()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Call the function for one item after the other: threads would wait for each other."""
        return [function(item) for item in items]

    def copy_to_local(self, keys: Sequence[str], folder: Path, columns: Sequence[str] | None = None) -> list[Path]:  # noqa: ARG002
        """Return the paths."""
        return [self.root / key for key in keys]

    def remove_abandoned(self, folders: Iterable[str]) -> None:
        """Remove abandoned temporary files."""
        for folder in folders:
            remove_abandoned(self.root / folder)
