"""The media store: accepted and rejected files, and deduplication."""

import hashlib
from pathlib import Path
from typing import Literal

import pytest

from tests.support.raw_responses import create_folder
from warehouse.archive.media_store import MediaStore, StoredFile, detect_media_type, find_declared_type
from warehouse.errors import FileRefused
from warehouse.storage.paths import MEDIA

MP3 = b"ID3\x04" + b"sound" * 1000


@pytest.fixture
def store(tmp_path: Path) -> MediaStore:
    return MediaStore(create_folder(tmp_path))


def save(
    store: MediaStore, content: bytes, expected: Literal["audio", "any"] = "any", declared: str = ""
) -> StoredFile:
    with store.open_incoming() as incoming:
        incoming.sink.write(content)
        return store.store(incoming, expected=expected, declared=declared)


def list_files(store: MediaStore) -> list[str]:
    return sorted(p.name for p in (store.folder.root / MEDIA).rglob("*") if p.is_file())


def test_file_is_stored_once_under_its_hash_and_private(store: MediaStore) -> None:
    stored = save(store, MP3, "audio")
    digest = hashlib.sha256(MP3).hexdigest()
    assert stored == StoredFile(digest, len(MP3), "audio/mpeg", f"media/{digest[:2]}/{digest}.mp3")
    path = store.folder.root / stored.path
    assert path.read_bytes() == MP3
    assert path.stat().st_mode & 0o777 == 0o600
    assert save(store, MP3) == stored
    assert list_files(store) == [f"{digest}.mp3"], "identical content is stored once, and no temporary file is left"


def test_damaged_file_is_replaced(store: MediaStore) -> None:
    key = save(store, MP3).path
    path = store.folder.root / key
    path.write_bytes(b"x" + MP3[1:])
    assert not store.check(key, hashlib.sha256(MP3).hexdigest())
    save(store, MP3)
    assert path.read_bytes() == MP3


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"ID3\x03", "audio/mpeg"),
        (b"\xff\xfb\x90\x64", "audio/mpeg"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"OggS\x00", "audio/ogg"),
        (b"#!AMR\n", "audio/amr"),
        (b"\x00\x00\x00\x18ftypmp42", "video/mp4"),
        (b"\x00\x00\x00\x18ftypM4A ", "audio/mp4"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"GIF89a", "image/gif"),
        (b"%PDF-1.7", "application/pdf"),
        (b"BEGIN:VCARD\r\n", "text/vcard"),
        (b"plain text", "text/plain"),
        (b"\x00\x01\x02\x03", "application/octet-stream"),
    ],
)
def test_media_type_is_detected_from_the_first_bytes(head: bytes, media_type: str) -> None:
    assert detect_media_type(head, expected="any")[0] == media_type


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "any"),
        (b"", "audio"),
        (b"<html><body>Something went wrong</body></html>", "any"),
        (b"\xef\xbb\xbf \r\n<?xml version='1.0'?><Error/>", "any"),
        (b'{"errorCode":"ERR"}', "any"),
        (b"<!DOCTYPE html>", "audio"),
        (b"Not Found", "audio"),
        (b"%PDF-1.7", "audio"),
        (b"\x00\x01\x02\x03", "audio"),
    ],
)
def test_error_page_or_wrong_type_is_refused_and_not_stored(
    store: MediaStore, content: bytes, expected: Literal["audio", "any"]
) -> None:
    with pytest.raises(FileRefused, match="tries again"):
        save(store, content, expected)
    assert list_files(store) == []


JPEG, PDF, HEIC = b"\xff\xd8\xff\xe0 picture", b"%PDF-1.7 fax", b"\x00\x00\x00\x18ftypheix"


@pytest.mark.parametrize(
    ("path", "content_type", "declared"),
    [
        ("/a/af54.jpg", "application/pdf", "image/jpeg"),
        ("/fax.PDF", "", "application/pdf"),
        ("/file", "Image/PNG; charset=binary", "image/png"),
        ("/file", "application/octet-stream", ""),
        ("/file", "text/plain", ""),
        ("/letter.doc", "application/msword", "application/msword"),
        ("/note.txt", "", "text/plain"),
        ("/v1.2/file", "", ""),
    ],
)
def test_the_extension_or_else_the_content_type_declares_the_type(path: str, content_type: str, declared: str) -> None:
    assert find_declared_type(path, content_type) == declared


@pytest.mark.parametrize(
    ("content", "declared"),
    [
        (b"Fax is not ready yet", "application/pdf"),
        (b"Fax is not ready yet", ""),
        (b"not ready", "application/msword"),
        (b"\x00\x01\x02\x03", "image/jpeg"),
        (b"\x01\x02\x03\x04", "image/jpeg"),
        (b"\x00\x01\x02\x03", ""),
        (MP3, "application/pdf"),
        (MP3, "image/jpeg"),
        (JPEG, "application/pdf"),
        (PDF, "image/tiff"),
        (JPEG, "audio/mpeg"),
        (PDF, "video/mp4"),
        (b"\x1f\x8b\x08\x00", "image/jpeg"),
    ],
)
def test_a_file_that_is_not_what_its_type_says_is_refused(store: MediaStore, content: bytes, declared: str) -> None:
    with pytest.raises(FileRefused):
        save(store, content, declared=declared)
    assert list_files(store) == []


@pytest.mark.parametrize(
    ("content", "declared"),
    [
        (JPEG, "image/png"),
        (HEIC, "image/heic"),
        (MP3, "audio/mpeg"),
        (MP3, "video/3gpp"),
        (PDF, "application/pdf"),
        (PDF, ""),
        (b"BEGIN:VCARD\r\n", "text/x-vcard"),
        (b"a note", "text/plain"),
        (b"\xd0\xcf\x11\xe0 word", "application/msword"),
    ],
)
def test_a_file_of_its_declared_kind_is_stored(store: MediaStore, content: bytes, declared: str) -> None:
    assert save(store, content, declared=declared).bytes == len(content)


def test_a_lost_file_is_accepted_by_its_hash_alone(store: MediaStore) -> None:
    content = b"a text that an earlier version verified"
    with store.open_incoming() as incoming:
        incoming.sink.write(content)
        stored = store.store(
            incoming, expected="any", declared="image/jpeg", sha256=hashlib.sha256(content).hexdigest()
        )
    assert (store.folder.root / stored.path).read_bytes() == content
