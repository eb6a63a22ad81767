"""The media store: content-addressed files, each verified before it is stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from warehouse.errors import FileRefused, StorageFailed
from warehouse.storage.atomic_files import create_folder, open_temporary, remove_abandoned
from warehouse.storage.hashing import hash_chunks, hash_file
from warehouse.storage.paths import MEDIA, DataFolder

# Bytes read to detect the media type.
_HEAD = 512

# (offset, bytes at the offset, media type, extension); the first that matches.
_MAGIC: tuple[tuple[int, bytes | tuple[bytes, ...], str, str], ...] = (
    (0, (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xfa", b"\xff\xe3"), "audio/mpeg", "mp3"),
    (8, b"WAVE", "audio/wav", "wav"),
    (8, b"AVI ", "video/x-msvideo", "avi"),
    (0, b"OggS", "audio/ogg", "ogg"),
    (0, b"fLaC", "audio/flac", "flac"),
    (0, b"#!AMR", "audio/amr", "amr"),
    (0, (b"\xff\xf1", b"\xff\xf9"), "audio/aac", "aac"),
    (4, b"ftypM4A", "audio/mp4", "m4a"),
    (4, b"ftyp3g", "video/3gpp", "3gp"),
    (4, (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1"), "image/heic", "heic"),
    (4, (b"ftypavif", b"ftypavis"), "image/avif", "avif"),
    (4, b"ftypqt", "video/quicktime", "mov"),
    (4, b"ftyp", "video/mp4", "mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm", "webm"),
    (0, b"\xff\xd8\xff", "image/jpeg", "jpg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png", "png"),
    (0, b"GIF8", "image/gif", "gif"),
    (8, b"WEBP", "image/webp", "webp"),
    (0, b"BM", "image/bmp", "bmp"),
    (0, (b"II*\x00", b"MM\x00*"), "image/tiff", "tif"),
    (0, b"%PDF-", "application/pdf", "pdf"),
    (0, b"PK\x03\x04", "application/zip", "zip"),
    (0, b"BEGIN:VCARD", "text/vcard", "vcf"),
    (0, b"BEGIN:VCALENDAR", "text/calendar", "ics"),
)
_TYPE_OF_EXTENSION = {extension: media_type for _, _, media_type, extension in _MAGIC} | {
    "jpeg": "image/jpeg",
    "tiff": "image/tiff",
    "heif": "image/heic",
    "3gpp": "video/3gpp",
    "txt": "text/plain",
}
# Content types that say nothing about the file.
_GENERIC_TYPES = (
    "",
    "application/octet-stream",
    "binary/octet-stream",
    "application/binary",
    "text/plain",
    "text/html",
)
# What a file of a declared type must be.
_KINDS = {
    "audio": (("audio/", "video/"), "audio or video"),
    "video": (("audio/", "video/"), "audio or video"),
    "image": (("image/",), "a picture"),
    "application/pdf": (("application/pdf",), "a PDF"),
}
# Types that may hold a recording.
_AUDIO_TYPES = ("audio/", "video/")
#: The reason why a lost file is not replaced by the one that iPlum has now.
DIFFERENT_FILE = "iPlum now has a different file than the one that was verified and lost"
_MARKUP = (b"<", b"{", b"[")


@dataclass(frozen=True)
class StoredFile:
    """A verified file; `path` is relative to the data folder."""

    sha256: str
    bytes: int
    media_type: str
    path: str = field(repr=False)


@dataclass(frozen=True)
class Incoming:
    """A download in progress: write it to `sink`, then pass it to `MediaStore.store`."""

    sink: BinaryIO
    path: Path


@dataclass(frozen=True)
class MediaStore:
    """Media files stored under their hash, so that identical files are stored once."""

    folder: DataFolder

    @contextmanager
    def open_incoming(self) -> Iterator[Incoming]:
        """Yield a private temporary file, removed afterwards unless it is stored. Raises `StorageFailed`."""
        create_folder(self.folder.incoming, self.folder.modes)
        path, descriptor = open_temporary(self.folder.incoming / "file", self.folder.modes)
        try:
            with descriptor as sink:
                yield Incoming(sink, path)
        except OSError as error:
            raise StorageFailed.during("write a file into", self.folder.incoming, error) from error
        finally:
            path.unlink(missing_ok=True)

    def store(
        self, incoming: Incoming, *, expected: Literal["audio", "any"], declared: str = "", sha256: str | None = None
    ) -> StoredFile:
        """Verify a downloaded file and move it into the store, durably.

        With `expected` as `audio`, only audio and video are accepted. `declared` is the media type it should have
        (`find_declared_type`); `sha256` is the hash of the file that was verified before, if there was one.

        Raises:
            FileRefused: The file is empty, a web page or error message, not what its type says, or has another hash.
            StorageFailed: The file cannot be stored.

        """
        incoming.sink.flush()
        with incoming.path.open("rb") as file:
            media_type, extension = detect_media_type(file.read(_HEAD), expected=expected)
        if sha256 is None:
            _check_declared(media_type, declared)
        digest, size = hash_file(incoming.path)
        if sha256 not in (None, digest):
            raise FileRefused(DIFFERENT_FILE)
        key = self.folder.media_file(digest, extension)
        # An existing file is replaced too: it may be damaged, or so old that retention takes it for a leftover.
        self.folder.store.move_in(incoming.path, key)
        return StoredFile(digest, size, media_type, key)

    def check(self, key: str, sha256: str) -> bool:
        """Whether a file exists and has this hash."""
        try:
            return hash_chunks(self.folder.store.read_chunks(key))[0] == sha256
        except FileNotFoundError:
            return False

    def list_files(self) -> Iterator[str]:
        """Yield the keys of all files."""
        yield from self.folder.store.list_keys(MEDIA)

    def clean(self) -> None:
        """Remove leftovers of killed runs that are over a day old."""
        remove_abandoned(self.folder.incoming)


def detect_media_type(head: bytes, *, expected: Literal["audio", "any"]) -> tuple[str, str]:
    """Return a file's media type and extension by its first bytes; raises `FileRefused`."""
    if not head:
        raise FileRefused("the file is empty")
    for offset, magic, media_type, extension in _MAGIC:
        if head.startswith(magic, offset):
            if expected == "audio" and not media_type.startswith(_AUDIO_TYPES):
                raise FileRefused(f"the file is {media_type}, not a recording")
            return media_type, extension
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_MARKUP):
        raise FileRefused("the server sent a web page or an error message instead of the file")
    if expected == "audio":
        raise FileRefused("the file is not a known kind of recording")
    return ("text/plain", "txt") if _is_text(head) else ("application/octet-stream", "bin")


def find_declared_type(path: str, content_type: str) -> str:
    """Return the media type that the extension of a URL's path, or else the `Content-Type`, declares; "" for none."""
    extension = path.rpartition("/")[2].rpartition(".")[2].lower()
    named = content_type.partition(";")[0].strip().lower()
    return _TYPE_OF_EXTENSION.get(extension) or ("" if named in _GENERIC_TYPES else named)


def _check_declared(media_type: str, declared: str) -> None:
    """Raise `FileRefused` if a file is not what its type says, or if no type says what unknown bytes are."""
    kind = _KINDS.get(declared) or _KINDS.get(declared.partition("/")[0])
    if kind is not None and not media_type.startswith(kind[0]):
        raise FileRefused(f"the file is {media_type}, not {kind[1]}")
    if media_type == "text/plain" and declared != media_type:
        raise FileRefused("the server sent a text instead of the file")
    if media_type == "application/octet-stream" and not declared:
        raise FileRefused("the file is of no known type")


def _is_text(head: bytes) -> bool:
    # The head may end inside a character.
    return b"\x00" not in head and "\ufffd" not in head[:-3].decode("utf-8", errors="replace")
