"""The store of files: content-addressed, each proven before it is there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from warehouse.errors import FileRefused, StorageFailed
from warehouse.storage.atomic_files import create_folder, open_temporary, remove_abandoned
from warehouse.storage.paths import MEDIA, DataFolder

_HEAD = 512
_CHUNK = 1 << 20

# (offset, first bytes, media type, ending); the first that fits.
_MAGIC = (
    (0, b"ID3", "audio/mpeg", "mp3"),
    (0, b"\xff\xfb", "audio/mpeg", "mp3"),
    (0, b"\xff\xf3", "audio/mpeg", "mp3"),
    (0, b"\xff\xf2", "audio/mpeg", "mp3"),
    (0, b"\xff\xfa", "audio/mpeg", "mp3"),
    (8, b"WAVE", "audio/wav", "wav"),
    (0, b"OggS", "audio/ogg", "ogg"),
    (0, b"fLaC", "audio/flac", "flac"),
    (0, b"#!AMR", "audio/amr", "amr"),
    (0, b"\xff\xf1", "audio/aac", "aac"),
    (0, b"\xff\xf9", "audio/aac", "aac"),
    (4, b"ftypM4A", "audio/mp4", "m4a"),
    (4, b"ftyp3g", "video/3gpp", "3gp"),
    (4, b"ftypheic", "image/heic", "heic"),
    (4, b"ftypmif1", "image/heic", "heic"),
    (4, b"ftypqt", "video/quicktime", "mov"),
    (4, b"ftyp", "video/mp4", "mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm", "webm"),
    (0, b"\xff\xd8\xff", "image/jpeg", "jpg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png", "png"),
    (0, b"GIF8", "image/gif", "gif"),
    (8, b"WEBP", "image/webp", "webp"),
    (0, b"BM", "image/bmp", "bmp"),
    (0, b"II*\x00", "image/tiff", "tif"),
    (0, b"MM\x00*", "image/tiff", "tif"),
    (0, b"%PDF-", "application/pdf", "pdf"),
    (0, b"PK\x03\x04", "application/zip", "zip"),
    (0, b"BEGIN:VCARD", "text/vcard", "vcf"),
    (0, b"BEGIN:VCALENDAR", "text/calendar", "ics"),
)
# What carries sound alone or with pictures.
_SOUNDS = ("audio/", "video/")
#: Why a file that was verified once and lost can't be replaced by what iPlum has now.
ANOTHER_FILE = "iPlum has another file now than the one that was verified before and lost"
_MARKUP = (b"<", b"{", b"[")


@dataclass(frozen=True)
class StoredFile:
    """A file that is whole and in place; `path` is relative to the data folder."""

    sha256: str
    bytes: int
    media_type: str
    path: str = field(repr=False)


@dataclass(frozen=True)
class Incoming:
    """A file on its way: write it to `sink`, then give it to `MediaStore.keep`."""

    sink: BinaryIO
    path: Path


@dataclass(frozen=True)
class MediaStore:
    """Keep files by their content, so that the same picture sent twice is one file."""

    folder: DataFolder

    @contextmanager
    def receive(self) -> Iterator[Incoming]:
        """Lend a private temporary file in the store; what isn't kept is removed. Raises `StorageFailed`."""
        create_folder(self.folder.incoming, self.folder.modes)
        path, descriptor = open_temporary(self.folder.incoming / "file", self.folder.modes)
        try:
            with descriptor as sink:
                yield Incoming(sink, path)
        except OSError as error:
            raise StorageFailed.during("write a file into", self.folder.incoming, error) from error
        finally:
            path.unlink(missing_ok=True)

    def keep(
        self, incoming: Incoming, *, expected: Literal["audio", "any"], sha256: str | None = None
    ) -> StoredFile:
        """Prove a received file and put it in place, durable when this returns.

        Raises `FileRefused` for what is empty, is a web page or an error in the place of a file, is no sound where
        `audio` is expected, or is not the file of this hash; `StorageFailed` where it can't be kept.
        """
        incoming.sink.flush()
        media_type, ending = identify(_read_head(incoming.path), expected=expected)
        digest, size = hash_file(incoming.path)
        if sha256 not in (None, digest):
            raise FileRefused(ANOTHER_FILE)
        key = self.folder.media_file(digest, ending)
        # One that is there already is looked at, not trusted: a damaged one is replaced.
        if not self.check(key, digest):
            self.folder.store.move_in(incoming.path, key)
        return StoredFile(digest, size, media_type, key)

    def check(self, key: str, sha256: str) -> bool:
        """Say whether a file is there and is what its hash says."""
        digest = hashlib.sha256()
        try:
            for piece in self.folder.store.read_chunks(key):
                digest.update(piece)
        except FileNotFoundError:
            return False
        return digest.hexdigest() == sha256

    def list_files(self) -> Iterator[str]:
        """Go through the keys of all files of the store."""
        yield from self.folder.store.list_keys(MEDIA)

    def clean(self) -> None:
        """Remove what killed runs left, once it is a day old."""
        remove_abandoned(self.folder.incoming)


def identify(head: bytes, *, expected: Literal["audio", "any"]) -> tuple[str, str]:
    """Say by its first bytes what a file is: its media type and the ending of its name; raises `FileRefused`."""
    if not head:
        raise FileRefused("it is empty")
    for offset, magic, media_type, ending in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            if expected == "audio" and not media_type.startswith(_SOUNDS):
                raise FileRefused(f"it is {media_type}, not a recording")
            return media_type, ending
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_MARKUP):
        raise FileRefused("it is a web page or an error message in the place of a file")
    if expected == "audio":
        raise FileRefused("it is no recording that is known by its first bytes")
    return ("text/plain", "txt") if _is_text(head) else ("application/octet-stream", "bin")


def hash_file(path: Path) -> tuple[str, int]:
    """Hash a file in pieces: its sha256 in hexadecimal and its size; raises `OSError`."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
            size += len(piece)
    return digest.hexdigest(), size


def _read_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _is_text(head: bytes) -> bool:
    # The head may end in the middle of a letter.
    return b"\x00" not in head and "\ufffd" not in head[:-3].decode("utf-8", errors="replace")
