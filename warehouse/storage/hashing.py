"""SHA-256 of files and streams."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

_CHUNK = 1 << 20


def hash_chunks(chunks: Iterable[bytes]) -> tuple[str, int]:
    """Return the SHA-256 of a stream in hexadecimal, and its size in bytes."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def hash_file(path: Path) -> tuple[str, int]:
    """Return a file's SHA-256 in hexadecimal, and its size in bytes; raises `OSError`."""
    return hash_chunks(_read_chunks(path))


def _read_chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
