"""SHA-256 of files and streams."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def hash_chunks(chunks: Iterable[bytes]) -> tuple[str, int]:
    """Return the SHA-256 of a stream in hexadecimal, and its size in bytes."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def hash_file(path: Path) -> tuple[str, int]:
    """Return a file's SHA-256 in hexadecimal, and its size in bytes; raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
