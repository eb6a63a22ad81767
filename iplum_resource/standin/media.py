"""The contents of texts and faxes, and the media files that their URLs lead to."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from iplum_resource.standin.records import build_media_name

MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "mp4": "video/mp4",
    "pdf": "application/pdf",
}

_MAGIC = {
    "mp3": b"ID3\x04\x00\x00\x00\x00\x00\x00\xff\xfb\x90\x64",
    "jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00",
    "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "mp4": b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42",
    "pdf": b"%PDF-1.4\n",
}
_CHUNK = 1 << 16


def read_media(name: str, size: int) -> Iterator[bytes]:
    """Yield the bytes of a media file, `size` in all, the same for the same name and size."""
    magic = _MAGIC[name.rpartition(".")[2]][:size]
    yield magic
    block = hashlib.sha256(name.encode()).digest() * (_CHUNK // 32)
    left = size - len(magic)
    while left > 0:
        yield block[:left]
        left -= len(block)


_ATTACHMENTS = ("jpg", "jpg", "jpg", "png", "mp4", "mp3")
_ATTACHED_OF_256 = 24
_SENTENCES = (
    "Hello",
    "Can I move my appointment to Thursday at 3?",
    "Thursday at 3 works, see you then.",
    'The form says "sign here" twice, is that right?',
    "Running 10 minutes late, sorry!",
    "Thank you so much 🙏😊",
    "Your lab results are in. Please call us back.",
    "First line\nsecond line\r\n\tand a tab",
    "",
    "  ",
    "¿Tienen citas el viernes? Señor Muñoz",
    "C:\\reports\\new.txt is the file I meant",
    "https://forms.outside.example/intake.pdf",
    "http://media.outside.example/af542549-527a-47c8-a183-b853455501c0.jpg",
    "See https://www.outside.example/directions for the way",
    "null",
    "123",
    '["not", "a", "list"]',
    "👩‍⚕️ will see you at 9:15",
    "Reply STOP to opt out.",
    "Is parking free?",
    "Yes, behind the building.",
    "Please bring your insurance card.",
    "OK 👍",
)


@dataclass(frozen=True, slots=True)
class Content:
    """A text, or the name of a media file; neither is in the repr."""

    text: str | None = field(default=None, repr=False)
    media_name: str | None = field(default=None, repr=False)


def parse_content(row: Mapping[str, str], *, seed: int) -> Content | None:
    """Return the content of a usage row, or None for a call.

    Both rows of an internal text have the same content: they agree in sender, recipient and start.
    """
    if row["usage"] == "call":
        return None
    key = f"{seed}:{row['from']}:{row['to']}:{row['startTimeUTC']}"
    if row["usage"] == "fax":
        return Content(media_name=build_media_name(key, "pdf", seed=seed))
    digest = hashlib.sha256(key.encode()).digest()
    if digest[0] < _ATTACHED_OF_256:
        return Content(media_name=build_media_name(key, _ATTACHMENTS[digest[1] % len(_ATTACHMENTS)], seed=seed))
    return Content(text=_SENTENCES[digest[2] % len(_SENTENCES)])
